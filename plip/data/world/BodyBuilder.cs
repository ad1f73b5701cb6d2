using System.Numerics;

namespace Plip.Data.World;

/// <summary>Turns an appearance and a pose into tubes: torso, legs and arms here; head and belongings in the other parts.</summary>
internal sealed partial class BodyBuilder(Mesh mesh, PersonAppearance person, Pose pose, bool other)
{
    private readonly uint texture = person.Texture;

    /// <summary>Vertices up to here belong to the body itself, whose box is the person's; umbrellas and cases come after.</summary>
    public int BodyVertices { get; private set; }

    /// <summary>Adds the whole person to the mesh. Parts of an <c>other</c> person are labelled background.</summary>
    public static BodyBuilder Build(Mesh mesh, PersonAppearance person, Pose pose, bool other = false)
    {
        var body = new BodyBuilder(mesh, person, pose, other);
        int firstVertex = mesh.Count, firstPart = mesh.Parts.Count;
        body.Legs();
        body.Torso();
        body.Arms();
        body.HeadAndHair();
        body.BodyVertices = mesh.Count;
        body.Belongings();
        if (person.Mirrored) body.Mirror(firstVertex, firstPart);
        return body;
    }

    /// <summary>Left and right change places, for half of all people: builders then need to know one side only.</summary>
    private void Mirror(int firstVertex, int firstPart)
    {
        mesh.Mirror(firstVertex);
        pose.Mirror();
        for (var i = firstPart; i < mesh.Parts.Count; i++)
        {
            mesh.Parts[i] = mesh.Parts[i] with
            {
                Label = mesh.Parts[i].Label switch
                {
                    LipLabel.LeftArm => LipLabel.RightArm,
                    LipLabel.RightArm => LipLabel.LeftArm,
                    LipLabel.LeftLeg => LipLabel.RightLeg,
                    LipLabel.RightLeg => LipLabel.LeftLeg,
                    LipLabel.LeftShoe => LipLabel.RightShoe,
                    LipLabel.RightShoe => LipLabel.LeftShoe,
                    var same => same,
                },
            };
        }
    }

    private int Part(Material material, LipLabel label, float[]? cut = null, float cutFrom = 0, float cutTo = 1) =>
        mesh.Add(new Part(material, label) { Other = other, Cut = cut, CutRange = (cutFrom, cutTo) });

    private Material Cloth(Garment garment, Fabric fabric, float girth, float folds, uint salt, Pattern pattern, float low = 0, float high = 0, Front front = Front.None, bool second = false) =>
        new(fabric, second ? garment.Colour2 : garment.Colour)
        {
            Colour2 = garment.Colour2,
            Pattern = pattern,
            Seed = texture + salt,
            Girth = girth,
            Folds = folds,
            Span = (low, high),
            Front = front,
        };

    private static float FoldsOf(Fabric fabric) => fabric switch
    {
        Fabric.Denim => .55f,
        Fabric.Cotton => .6f,
        Fabric.Silk => .8f,
        Fabric.Knit => .35f,
        Fabric.Wool => .38f,
        Fabric.Leather => .75f,
        Fabric.Nylon => .75f,
        Fabric.Puffer => 1f,
        _ => 0,
    };

    // height in body heights above the ground when standing; half-width; half-depth; how far forward
    private static readonly (float Y, float W, float D, float Z)[] Man =
    [
        (.44f, .082f, .062f, -.006f), (.50f, .090f, .070f, -.008f), (.56f, .083f, .062f, -.002f), (.61f, .080f, .060f, .002f), (.67f, .087f, .064f, .004f), (.73f, .096f, .068f, .004f),
        (.775f, .099f, .066f, 0), (.80f, .096f, .058f, -.004f), (.82f, .080f, .048f, -.006f), (.838f, .056f, .040f, -.006f), (.85f, .042f, .037f, -.004f),
    ];
    private static readonly (float Y, float W, float D, float Z)[] Woman =
    [
        (.44f, .088f, .066f, -.008f), (.50f, .096f, .074f, -.010f), (.56f, .084f, .062f, -.002f), (.61f, .072f, .054f, .002f), (.67f, .079f, .060f, .006f), (.73f, .087f, .074f, .010f),
        (.775f, .088f, .066f, .002f), (.80f, .084f, .054f, -.004f), (.82f, .070f, .045f, -.006f), (.838f, .048f, .036f, -.006f), (.85f, .036f, .033f, -.004f),
    ];

    /// <summary>A ring of the torso grown by <paramref name="loose"/>; below the hips it widens to hold both legs.</summary>
    private Ring TorsoRing(float y, float loose, float flare = 0)
    {
        var table = person.Female ? Woman : Man;
        var k = 1;
        while (k < table.Length - 1 && table[k].Y < y) k++;
        var t = Math.Clamp((y - table[k - 1].Y) / (table[k].Y - table[k - 1].Y), 0, 1);
        float At(Func<(float Y, float W, float D, float Z), float> f) => f(table[k - 1]) + (f(table[k]) - f(table[k - 1])) * t;
        var wide = y > .66f ? pose.ShoulderWidth / (person.Female ? .91f : 1) : pose.HipWidth;
        var deep = .5f + .5f * person.Build + (y < .68f ? MathF.Max(0, person.Build - 1.05f) * 1.2f : 0);
        float w = At(p => p.W) * wide + loose, d = At(p => p.D) * deep + loose;
        var (left, front) = pose.Axes(y - .505f);
        if (y >= .505f) return new Ring(pose.Spine(y - .505f) + front * At(p => p.Z), left * w, front * d, y);
        var a = LegAt(0, y);
        var b = LegAt(1, y);
        if (y >= .46f)
        {
            // Over the hips cloth lies on the tops of both legs.
            var thigh = .050f * (.35f + .65f * person.Build);
            w = MathF.Max(w, MathF.Abs(a.X - b.X) / 2 + thigh + loose);
            d = MathF.Max(d, MathF.Abs(a.Z - b.Z) / 2 + thigh + loose);
            return new Ring(pose.Spine(y - .505f) + front * At(p => p.Z), left * w, front * d, y);
        }
        var hang = (.46f - y) / .3f;
        // Cloth hangs from the hips, lags behind the legs, and reaches round the one that is further out.
        var centre = Vector3.Lerp((a + b) / 2, pose.Pelvis with { Y = (a.Y + b.Y) / 2 }, .3f);
        var leg = (.055f - .012f * hang) * (.35f + .65f * person.Build) + loose + (person.LowerCut?.Loose ?? 0);
        w = MathF.Max(w * (1 - .25f * hang), MathF.Max(MathF.Abs(a.X - centre.X), MathF.Abs(b.X - centre.X)) + leg) + flare * hang;
        d = MathF.Max(d * (1 - .25f * hang), MathF.Max(MathF.Abs(a.Z - centre.Z), MathF.Abs(b.Z - centre.Z)) + leg) + flare * hang;
        return new Ring(centre, left * w, front * d, y);
    }

    private Vector3 LegAt(int i, float y)
    {
        var down = .505f - y;
        return down < .235f ? Vector3.Lerp(pose.Hip[i], pose.Knee[i], down / .235f) : Vector3.Lerp(pose.Knee[i], pose.Ankle[i], Math.Min(1, (down - .235f) / .235f));
    }

    private void Tube(int part, float from, float to, float loose, float flare, int rings, float crumple, float square = 2.35f)
    {
        Span<Ring> list = stackalloc Ring[rings];
        for (var r = 0; r < rings; r++) list[r] = TorsoRing(from + (to - from) * r / (rings - 1), loose, flare);
        mesh.Add(part, list, 18, square, crumple, texture);
    }

    private void Torso()
    {
        var cut = person.UpperCut;
        var skin = new Material(Fabric.Skin, person.Skin) { Seed = texture };
        var neck = Part(skin, LipLabel.Face);
        mesh.Add(neck, [Disc(pose.Spine(.29f), .050f, .04f), Disc(pose.Spine(.335f), .031f, .031f), Disc(pose.Spine(.37f), .029f, .030f), Disc(pose.Spine(.40f) + new Vector3(0, 0, .006f), .029f, .031f)], 10);

        var jitter = (Noise.Hash(texture, 11, 3) - .5f) * .03f;
        var hem = cut.Hem + jitter;
        if (cut.Opens)
        {
            var under = Part(Cloth(person.Inner, person.InnerCut.Fabric, .5f, FoldsOf(person.InnerCut.Fabric), 50, person.Inner.Pattern, .46f, .85f, person.InnerCut.Front), LipLabel.UpperClothes);
            Tube(under, .465f, .85f, .003f, 0, 12, 0);
        }
        float[]? opening = null;
        if (person.Open)
        {
            // Ajar by its own amount, wider at the hem where it swings.
            var ajar = .055f + .05f * Noise.Hash(texture, 12, 3);
            opening = [ajar * 1.25f, ajar * 1.15f, ajar, ajar * .95f, ajar * .9f, ajar * .9f, ajar * .95f, ajar * 1.1f, ajar * 1.3f];
        }
        else if (cut.Front == Front.Lapels) opening = [0, 0, 0, 0, 0, .0f, .030f, .060f, .085f];
        else if (cut.Opens && cut.Key is "cardigan" or "shirt") opening = [0, 0, 0, 0, 0, 0, 0, .02f, .06f];
        var pattern = person.Upper.Pattern == Pattern.Sleeves ? Pattern.Plain : person.Upper.Pattern;
        var material = new Material(cut.Fabric, person.Upper.Colour)
        {
            Colour2 = person.Upper.Colour2,
            Pattern = pattern,
            Seed = texture + 1,
            Girth = .52f,
            Folds = FoldsOf(cut.Fabric),
            Span = (MathF.Min(hem, .47f), .85f),
            Front = person.Open ? Front.None : cut.Front,
            Straps = person.Bag?.Kind.Key == "backpack" ? person.Bag.Colour : null,
        };
        var torso = Part(material, cut.Label, opening, hem, .85f);
        Tube(torso, hem, .852f, cut.Loose, cut.Flare, hem < .4f ? 18 : 15, cut.Fabric is Fabric.Leather ? .03f : cut.Fabric is Fabric.Puffer ? .035f : .022f);

        if (cut.Collar || cut.Key is "turtleneck")
        {
            var collar = Part(Cloth(person.Upper, cut.Fabric, .3f, .3f, 2, Pattern.Plain, second: pattern == Pattern.TwoTone), cut.Label, cut.Key == "turtleneck" ? null : [.10f, .10f, .10f, .09f, .09f, .09f, .09f, .09f, .09f], .84f, .88f);
            var rise = cut.Label == LipLabel.Coat ? .028f : .018f;
            mesh.Add(collar, [Disc(pose.Spine(.330f), .050f, .046f, .84f), Disc(pose.Spine(.345f), .044f, .042f, .86f), Disc(pose.Spine(.345f + rise), .039f, .039f, .88f)], 12);
        }
        if (cut.Hood && person.Hat?.Kind.Key != "hood")
        {
            var hood = Part(Cloth(person.Upper, cut.Fabric, .3f, .8f, 3, Pattern.Plain, second: pattern == Pattern.TwoTone), cut.Label);
            var back = -pose.Axes(.3f).Front * .028f;
            mesh.Add(hood, [Disc(pose.Spine(.300f) + back * 1.5f, .050f, .030f), Disc(pose.Spine(.318f) + back, .068f, .050f), Disc(pose.Spine(.345f) + back, .066f, .054f), Disc(pose.Spine(.365f) + back, .050f, .042f)], 12, 2, .05f, texture);
        }
    }

    private Ring Disc(Vector3 centre, float w, float d, float v = 0)
    {
        var (left, front) = pose.Axes(.3f);
        return new Ring(centre, left * w, front * d, v);
    }

    private static float Along(float t, ReadOnlySpan<float> table)
    {
        var x = Math.Clamp(t, 0, 1) * (table.Length - 1);
        var k = Math.Min((int)x, table.Length - 2);
        return table[k] + (table[k + 1] - table[k]) * (x - k);
    }

    /// <summary>A bent limb from <paramref name="a"/> over <paramref name="b"/> to <paramref name="c"/>, rounded at the joint.</summary>
    private void Limb(int part, Vector3 a, Vector3 b, Vector3 c, float from, float to, int rings, Func<float, float> radius, Vector3 facing, float crumple, bool roundStart)
    {
        float upper = Vector3.Distance(a, b), lower = Vector3.Distance(b, c), joint = upper / (upper + lower);
        Span<Ring> list = stackalloc Ring[rings + (roundStart ? 2 : 0)];
        var n = 0;
        for (var r = 0; r < rings; r++)
        {
            var t = from + (to - from) * r / (rings - 1);
            var blend = Math.Clamp((t - joint) / .16f + .5f, 0, 1);
            var d = Vector3.Normalize(Vector3.Lerp((b - a) / upper, (c - b) / lower, blend));
            var p = t < joint ? Vector3.Lerp(a, b, t / joint) : Vector3.Lerp(b, c, (t - joint) / (1 - joint));
            if (blend is > 0 and < 1) p += ((a + c) / 2 - b) * (.10f * (1 - MathF.Abs(blend - .5f) * 2)); // cut the corner as flesh does
            var front = facing - d * Vector3.Dot(facing, d);
            if (front.LengthSquared() < .05f) front = Vector3.UnitY - d * d.Y;
            front = Vector3.Normalize(front);
            var left = Vector3.Cross(front, d);
            var radiusHere = radius(t);
            var v = t * (upper + lower);
            if (r == 0 && roundStart)
            {
                list[n++] = new Ring(p - d * radiusHere * .75f, left * radiusHere * .35f, front * radiusHere * .35f, v);
                list[n++] = new Ring(p - d * radiusHere * .45f, left * radiusHere * .8f, front * radiusHere * .8f, v);
            }
            list[n++] = new Ring(p, left * radiusHere, front * radiusHere, v);
        }
        mesh.Add(part, list[..n], 12, 2, crumple, texture + (uint)part);
    }

    private static readonly float[] LegRadius = [.046f, .052f, .051f, .045f, .038f, .036f, .036f, .031f, .025f, .022f];
    private static readonly float[] ArmRadius = [.033f, .033f, .031f, .029f, .027f, .027f, .024f, .020f, .018f];

    private void Legs()
    {
        var lower = person.LowerCut;
        var thick = .35f + .65f * person.Build;
        var front = pose.Axes(-.1f).Front;
        var shoe = person.ShoeCut;
        for (var i = 0; i < 2; i++)
        {
            var side = i;
            if (lower is null || lower.Hem > .045f)
            {
                var bareFrom = .05f;
                var leg = Part(new Material(person.Hose is not null && lower is null or { IsSkirt: true } && person.Hose is not null ? Fabric.Cotton : Fabric.Skin, person.Hose is { } h && (lower is null || lower.IsSkirt) ? h : person.Skin) { Seed = texture }, i == 0 ? LipLabel.LeftLeg : LipLabel.RightLeg);
                Limb(leg, pose.Hip[i], pose.Knee[i], pose.Ankle[i], bareFrom, 1, 10, t => Along(t, LegRadius) * thick, front, 0, false);
                if (person.Hose is { } sock && lower is { IsSkirt: false })
                {
                    var socks = Part(new Material(Fabric.Cotton, sock) { Seed = texture, Folds = .3f }, LipLabel.Socks);
                    Limb(socks, pose.Hip[i], pose.Knee[i], pose.Ankle[i], .84f, 1, 4, t => Along(t, LegRadius) * thick + .003f, front, 0, false);
                }
            }
            if (lower is { IsSkirt: false })
            {
                var end = Math.Clamp(1 - (lower.Hem - .035f) / .47f, .2f, 1.03f);
                var trousers = Part(Cloth(person.Lower!, lower.Fabric, .27f, FoldsOf(lower.Fabric) * (lower.Loose < .003f ? .35f : 1), 20 + (uint)i, person.Lower!.Pattern), lower.Label);
                Limb(trousers, pose.Hip[i], pose.Knee[i], pose.Ankle[i], 0, end, lower.IsShort ? 8 : 13,
                    t => Along(t, LegRadius) * thick + .002f + (t < .5f ? lower.Loose * MathF.Min(1, t * 4 + .3f) : lower.Loose + (lower.Ankle - lower.Loose) * (t - .5f) * 2), front, lower.Fabric == Fabric.Cotton ? .05f : .04f, false);
            }
            Shoe(i, shoe);
            if (shoe.Shaft > 0)
            {
                var shaft = Part(new Material(Fabric.Leather, person.Shoes.Colour) { Seed = texture + 31, Folds = .5f }, i == 0 ? LipLabel.LeftShoe : LipLabel.RightShoe);
                Limb(shaft, pose.Hip[i], pose.Knee[i], pose.Ankle[i], 1 - shoe.Shaft / .47f, 1.02f, 5, t => Along(t, LegRadius) * thick + (lower is { Ankle: > .006f } && shoe.Shaft < .1f ? .002f : .007f), front, 0, false);
            }
        }
        if (lower is { IsSkirt: true })
        {
            var skirt = Part(Cloth(person.Lower!, lower.Fabric, .6f, FoldsOf(lower.Fabric), 22, person.Lower!.Pattern, lower.Hem, .6f), LipLabel.Skirt);
            Tube(skirt, lower.Hem, .60f, lower.Loose, lower.Flare, 14, lower.Flare > .02f ? .05f : .015f);
        }
        else if (lower is not null)
        {
            var seat = Part(Cloth(person.Lower!, lower.Fabric, .5f, FoldsOf(lower.Fabric) * .6f, 22, person.Lower!.Pattern == Pattern.SideStripe ? Pattern.Plain : person.Lower.Pattern), LipLabel.Pants);
            Span<Ring> rings = stackalloc Ring[6];
            for (var r = 0; r < 6; r++)
            {
                var y = .452f + r * .030f;
                var ring = TorsoRing(MathF.Max(y, .46f), 0);
                var shrink = r == 0 ? .6f : r == 1 ? .86f : .97f;
                rings[r] = ring with { Centre = ring.Centre + new Vector3(0, MathF.Min(0, y - .46f), 0), Left = ring.Left * shrink, Front = ring.Front * shrink, V = y };
            }
            mesh.Add(seat, rings, 16, 2.3f);
        }
    }

    private void Shoe(int i, ShoeKind shoe)
    {
        var label = i == 0 ? LipLabel.LeftShoe : LipLabel.RightShoe;
        Vector3 heel = pose.Heel[i], toe = pose.Toe[i];
        var forward = Vector3.Normalize(toe - heel);
        var up = Vector3.Normalize(pose.Ankle[i] - heel - forward * Vector3.Dot(pose.Ankle[i] - heel, forward));
        var left = Vector3.Cross(up, forward);
        var length = Vector3.Distance(heel, toe) * (person.Female ? .95f : 1.02f);
        var upperPart = Part(new Material(shoe.Fabric, person.Shoes.Colour) { Seed = texture + 30, Folds = .25f }, label);
        ReadOnlySpan<(float At, float W, float H)> shape = [(-.01f, .012f, .020f), (.03f, .021f, .034f), (.2f, .025f, .040f), (.38f, .026f, .036f), (.6f, .029f, .025f), (.82f, .027f, .018f), (.95f, .018f, .013f), (1.0f, .006f, .008f)];
        Span<Ring> rings = stackalloc Ring[shape.Length];
        var low = shoe.Open ? .7f : 1;
        for (var k = 0; k < shape.Length; k++)
        {
            var (at, w, h) = shape[k];
            rings[k] = new Ring(heel + forward * (at * length) + up * (h * .5f * low + .003f + shoe.Heel * (1 - at)), left * w, up * (h * .5f * low + .002f), at);
        }
        mesh.Add(upperPart, rings, 10, 2.5f);
        var soleColour = shoe.PaleSole && Noise.Hash(texture, 31, 5) < .75f ? new Rgb(.88f, .88f, .86f) : person.Shoes.Colour.Scale(.55f);
        var sole = Part(new Material(Fabric.Rubber, soleColour), label);
        mesh.Add(sole,
        [
            new Ring(heel + up * .003f, left * .019f, up * .005f, 0), new Ring(heel + forward * (.3f * length) + up * .004f, left * .026f, up * .007f, .3f),
            new Ring(heel + forward * (.62f * length) + up * .004f, left * .031f, up * .007f, .6f), new Ring(heel + forward * (1.0f * length) + up * .004f, left * .016f, up * .005f, 1),
        ], 8, 3);
    }

    private void Arms()
    {
        var cut = person.UpperCut;
        var thick = .3f + .7f * person.Build * (person.Female ? .9f : 1);
        var hemOfSleeve = cut.Sleeve switch { >= 1 => 1.0f, <= 0 => 0, var s => s * .85f };
        var outer = person.Upper;
        var second = outer.Pattern is Pattern.TwoTone or Pattern.Sleeves;
        var pattern = outer.Pattern is Pattern.Striped or Pattern.Checked or Pattern.Print or Pattern.Pinstriped ? outer.Pattern : outer.Pattern == Pattern.SideStripe ? outer.Pattern : Pattern.Plain;
        for (var i = 0; i < 2; i++)
        {
            var facing = pose.Axes(.3f).Front;
            var bare = i == 0 ? LipLabel.LeftArm : LipLabel.RightArm;
            var skin = Part(new Material(Fabric.Skin, person.Skin) { Seed = texture }, bare);
            if (hemOfSleeve < 1 && cut.Key != "gilet")
                Limb(skin, pose.Shoulder[i], pose.Elbow[i], pose.Wrist[i], 0, 1, 9, t => Along(t, ArmRadius) * thick, facing, 0, true);
            if (cut.Key == "gilet")
            {
                var long_ = person.InnerCut.Sleeve >= 1;
                if (!long_) Limb(skin, pose.Shoulder[i], pose.Elbow[i], pose.Wrist[i], 0, 1, 9, t => Along(t, ArmRadius) * thick, facing, 0, true);
                var under = Part(Cloth(person.Inner, person.InnerCut.Fabric, .2f, FoldsOf(person.InnerCut.Fabric), 60 + (uint)i, person.Inner.Pattern == Pattern.Logo ? Pattern.Plain : person.Inner.Pattern), LipLabel.UpperClothes);
                Limb(under, pose.Shoulder[i], pose.Elbow[i], pose.Wrist[i], 0, long_ ? 1 : .42f, 9, t => Along(t, ArmRadius) * thick + .008f, facing, .05f, true);
            }
            if (hemOfSleeve > 0)
            {
                var sleeve = Part(Cloth(outer, cut.Fabric, .21f, FoldsOf(cut.Fabric), 10 + (uint)i, pattern, second: second), cut.Label);
                var extra = cut.Loose * .8f + .003f;
                Limb(sleeve, pose.Shoulder[i], pose.Elbow[i], pose.Wrist[i], 0, hemOfSleeve, hemOfSleeve < .7f ? 7 : 12,
                    t => Along(t, ArmRadius) * thick + extra * (hemOfSleeve < 1 ? 1 + t : 1 - .35f * t), facing, .045f, true);
            }
            if (pose.Act[i] == ArmAct.Pocket && (person.LowerCut is { IsSkirt: false } || cut.Label == LipLabel.Coat)) continue;
            Hand(i, skin);
        }
    }

    private void Hand(int i, int skin)
    {
        var part = person.Gloves is { } glove ? Part(new Material(Fabric.Leather, glove) { Seed = texture }, LipLabel.Glove) : skin;
        var d = Vector3.Normalize(pose.Hand[i] - pose.Wrist[i]);
        var front = pose.Axes(.3f).Front;
        front -= d * Vector3.Dot(front, d);
        if (front.LengthSquared() < .05f) front = Vector3.UnitY - d * d.Y;
        front = Vector3.Normalize(front);
        var left = Vector3.Cross(front, d);
        Vector3 w = pose.Wrist[i];
        mesh.Add(part,
        [
            new Ring(w - d * .01f, left * .014f, front * .016f, 0), new Ring(w + d * .018f, left * .014f, front * .021f, 0),
            new Ring(w + d * .045f, left * .014f, front * .020f, 0), new Ring(w + d * .066f, left * .008f, front * .011f, 0), new Ring(w + d * .07f, left * .002f, front * .003f, 0),
        ], 8);
    }
}
