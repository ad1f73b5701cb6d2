using System.Numerics;

namespace Plip.Data.World;

internal sealed partial class BodyBuilder
{
    private void Belongings()
    {
        if (person.Bag is { } bag) Bag(bag);
        if (person.Held is { } held) Held(held);
    }

    private int Thing(Rgb colour, Fabric fabric = Fabric.Leather, float folds = .5f, Detail detail = Detail.None) =>
        Part(new Material(fabric, colour) { Seed = texture + 70, Folds = folds, Girth = .3f, Detail = detail }, LipLabel.Background);

    /// <summary>A rounded box: its half-axes, and how much narrower its top is.</summary>
    private void Box(int part, Vector3 centre, Vector3 left, Vector3 up, Vector3 front, float top = 1, float square = 5)
    {
        ReadOnlySpan<(float At, float Size)> rings = [(-1, .55f), (-.96f, .9f), (-.85f, 1), (0, .5f + .5f * ((1 + top) / 2)), (.85f, top), (.96f, top * .9f), (1, top * .55f)];
        Span<Ring> list = stackalloc Ring[rings.Length];
        for (var r = 0; r < list.Length; r++)
            list[r] = new Ring(centre + up * rings[r].At, left * rings[r].Size, front * rings[r].Size, up.Length() * (1 + rings[r].At));
        mesh.Add(part, list, 16, square);
    }

    private void Rod(int part, ReadOnlySpan<Vector3> points, float radius)
    {
        Span<Ring> list = stackalloc Ring[points.Length];
        for (var i = 0; i < points.Length; i++)
        {
            var d = Vector3.Normalize(points[Math.Min(i + 1, points.Length - 1)] - points[Math.Max(i - 1, 0)]);
            var a = MathF.Abs(d.Y) < .8f ? Vector3.UnitY : Vector3.UnitX;
            var left = Vector3.Normalize(Vector3.Cross(a, d));
            list[i] = new Ring(points[i], left * radius, Vector3.Cross(d, left) * radius, i * .02f);
        }
        mesh.Add(part, list, 6);
    }

    private void Bag(Garment bag)
    {
        var (left, front) = pose.Axes(.15f);
        var part = Thing(bag.Colour);
        var darker = Thing(bag.Colour.Scale(.72f));
        var size = .88f + .3f * Noise.Hash(texture, 71, 1);
        var loose = person.UpperCut.Loose;
        var hand = pose.Wrist[0] + .8f * (pose.Hand[0] - pose.Wrist[0]);
        switch (bag.Kind.Key)
        {
            case "backpack":
                var depth = .046f * size;
                var at = pose.Spine(.195f) - front * (.062f + loose + depth);
                Box(part, at, left * (.076f * size), Vector3.UnitY * (.115f * size), front * depth, .82f, 3.5f);
                Box(darker, at - front * (depth * .95f) - Vector3.UnitY * .045f * size, left * (.056f * size), Vector3.UnitY * (.045f * size), front * .018f, .95f, 4);
                for (var s = -1; s <= 1; s += 2)
                    Rod(part, [pose.Spine(.27f) - front * (.07f + loose) + left * (.05f * s), pose.Spine(.318f) + left * (.055f * s) - front * .02f, pose.Spine(.318f + loose) + left * (.055f * s) + front * .015f, pose.Spine(.26f) + left * (.055f * s) + front * (.066f + loose)], .010f);
                break;
            case "shoulder bag":
                // A strap from the right shoulder across chest and back to the left hip.
                Span<Vector3> strap = stackalloc Vector3[17];
                for (var i = 0; i < strap.Length; i++)
                {
                    var (sin, cos) = MathF.SinCos(MathF.Tau * i / (strap.Length - 1));
                    var height = .12f - .20f * cos;
                    var ring = TorsoRing(Math.Clamp(.505f + height, .46f, .835f), loose + .006f);
                    strap[i] = ring.Centre + ring.Left * (cos * 1.0f) + ring.Front * (sin * .98f);
                }
                Rod(darker, strap, .0075f);
                Box(part, pose.Spine(-.045f) + left * (.118f * pose.HipWidth + loose + .02f) + front * .01f, left * .030f, Vector3.UnitY * (.060f * size), front * (.080f * size), .95f, 4);
                break;
            case "handbag":
                var drop = Noise.Hash(texture, 72, 1) < .5f ? 1f : .55f;
                Rod(darker, [hand + front * .03f - Vector3.UnitY * .07f * drop, hand + front * .015f, hand - front * .015f, hand - front * .03f - Vector3.UnitY * .07f * drop], .005f);
                Box(part, hand - Vector3.UnitY * (.065f * drop + .05f * size), left * .032f, Vector3.UnitY * (.052f * size), front * (.075f * size), .8f, 3.5f);
                break;
            case "tote bag":
                var hang = pose.Spine(.055f) + left * (.118f * pose.ShoulderWidth + loose + .03f) - front * .015f;
                var shoulder = pose.Shoulder[0] + Vector3.UnitY * .035f - left * .015f;
                Rod(part, [hang + front * .05f + Vector3.UnitY * .08f, shoulder + front * .02f, shoulder - front * .02f, hang - front * .05f + Vector3.UnitY * .08f], .006f);
                Box(part, hang, left * .032f, Vector3.UnitY * (.085f * size), front * (.090f * size), 1.05f, 4);
                break;
            case "briefcase":
                Rod(darker, [hand + front * .03f - Vector3.UnitY * .03f, hand, hand - front * .03f - Vector3.UnitY * .03f], .005f);
                Box(part, hand - Vector3.UnitY * (.03f + .065f * size), left * .026f, Vector3.UnitY * (.065f * size), front * (.100f * size), 1, 8);
                break;
            case "suitcase":
                var ground = new Vector3(hand.X + left.X * .05f, 0, hand.Z - .16f);
                var caseTop = .30f * size;
                Box(part, ground + new Vector3(0, caseTop / 2 + .02f, 0), left * .075f, new Vector3(0, caseTop / 2, 0), front * .05f, 1, 6);
                Rod(darker, [ground + new Vector3(0, caseTop, 0), hand], .006f);
                break;
            default:
                Span<Vector3> belt = stackalloc Vector3[13];
                for (var i = 0; i < belt.Length; i++)
                {
                    var ring = TorsoRing(.56f, loose + .006f);
                    var (sin, cos) = MathF.SinCos(MathF.Tau * i / (belt.Length - 1));
                    belt[i] = ring.Centre + ring.Left * sin + ring.Front * cos;
                }
                Rod(darker, belt, .008f);
                Box(part, pose.Spine(.05f) + front * (.078f + loose), left * .060f, Vector3.UnitY * .030f, front * .022f, .9f, 3.5f);
                break;
        }
    }

    private void Held(Garment held)
    {
        var (left, front) = pose.Axes(.2f);
        var hand = pose.Hand[1];
        var along = Vector3.Normalize(pose.Hand[1] - pose.Wrist[1]);
        var up = Vector3.UnitY;
        var colour = held.Colour;
        switch (held.Kind.Key)
        {
            case "phone":
                Box(Thing(colour, Fabric.Rubber, 0), hand + along * .008f + up * .012f, left * .016f, up * .032f, front * .005f, 1, 8);
                break;
            case "shopping bag":
                var bag = Thing(colour, Fabric.Nylon, .9f);
                Rod(bag, [hand + front * .02f - up * .05f, hand, hand - front * .02f - up * .05f], .005f);
                Box(bag, hand - up * .125f, left * .035f, up * .080f, front * .070f, .85f, 3);
                break;
            case "bottle":
                Rod(Thing(colour.Mix(new Rgb(.7f, .8f, .9f), .3f), Fabric.Rubber, 0), [hand - up * .035f, hand + up * .035f, hand + up * .045f], .014f);
                break;
            case "cup":
                Box(Thing(colour, Fabric.Rubber, 0), hand + up * .02f + along * .01f, left * .016f, up * .026f, front * .016f, 1.15f, 2);
                break;
            case "paper":
                Box(Thing(colour, Fabric.Rubber, .2f), hand + along * .025f + front * .01f, left * .040f, Vector3.Normalize(up + along * .7f) * .050f, front * .002f, 1, 9);
                break;
            case "folder":
                Box(Thing(colour, Fabric.Rubber, 0), hand + along * .01f, left * .014f, up * .050f, front * .070f, 1, 9);
                break;
            case "umbrella":
                Rod(Thing(colour, Fabric.Nylon, .8f), [hand + up * .05f, hand - up * .03f, hand - up * .30f, hand - up * .36f], .015f);
                break;
            default:
                var top = pose.Head + up * .20f + front * .03f;
                Rod(Thing(new Rgb(.2f, .2f, .2f), Fabric.Rubber, 0), [hand - up * .05f, hand, top], .006f);
                var canopy = Thing(colour, Fabric.Nylon, .4f, Detail.Umbrella);
                Vector3 l = left * .34f, f = front * .34f;
                mesh.Add(canopy, [new(top + up * .035f, l * .02f, f * .02f, 0), new(top + up * .015f, l * .45f, f * .45f, .1f), new(top - up * .035f, l * .8f, f * .8f, .2f), new(top - up * .095f, l, f, .3f)], 16);
                break;
        }
    }
}
