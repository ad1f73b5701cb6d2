using System.Numerics;

namespace Plip.Data.World;

/// <summary>Turns an appearance and a pose into tubes: the torso here; limbs, head and belongings in the other parts.</summary>
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
}
