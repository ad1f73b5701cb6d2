using System.Numerics;

namespace Plip.Data.World;

internal sealed partial class BodyBuilder
{
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
            if (lower is null || lower.Hem > .045f)
            {
                // Tights count as the leg they cover; LIP has no label for them.
                var tights = lower is null || lower.IsSkirt ? person.Hose : null;
                var leg = Part(new Material(tights is null ? Fabric.Skin : Fabric.Cotton, tights ?? person.Skin) { Seed = texture }, i == 0 ? LipLabel.LeftLeg : LipLabel.RightLeg);
                Limb(leg, pose.Hip[i], pose.Knee[i], pose.Ankle[i], .05f, 1, 10, t => Along(t, LegRadius) * thick, front, 0, false);
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
            // Tight at the waist, so that the hem of a top always lies outside it.
            Tube(skirt, lower.Hem, .60f, lower.Loose - .006f, lower.Flare, 14, .012f);
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
