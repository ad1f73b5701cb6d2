using System.Numerics;

namespace Plip.Data.World;

internal sealed partial class BodyBuilder
{
    // half-width openings round the face, from chin (v = −1) to crown (v = 1) in quarters
    private static readonly float[] ShortCut = [.5f, .5f, .42f, .34f, .29f, .25f, .17f, 0, 0];
    private static readonly float[] CroppedCut = [.5f, .5f, .46f, .36f, .31f, .27f, .20f, .06f, 0];
    private static readonly float[] FringeCut = [.21f, .20f, .19f, .185f, .18f, .16f, 0, 0, 0];
    private static readonly float[] PartedCut = [.23f, .21f, .20f, .195f, .19f, .18f, .13f, .03f, 0];
    private static readonly float[] SweptCut = [.5f, .46f, .38f, .32f, .29f, .25f, .18f, .04f, 0];
    private static readonly float[] FullCut = [.32f, .27f, .25f, .24f, .23f, .22f, .16f, 0, 0];
    private static readonly float[] HoodCut = [.10f, .14f, .17f, .185f, .19f, .185f, .16f, .09f, 0];

    private Vector3 headLeft, headUp, headFront;
    private float headScale;

    private Ring Skull(float v, float scale, float lift = 0)
    {
        var e = MathF.Pow(MathF.Max(0, 1 - v * v), .44f);
        var jaw = v < -.2f ? 1 - .30f * (-.2f - v) / .8f : 1;
        var w = .0465f * e * jaw * scale * headScale + .0005f;
        var d = .0560f * e * (v < -.3f ? 1 - .14f * (-.3f - v) / .7f : 1) * scale * headScale + .0005f;
        var forward = v < -.2f ? .008f * (-.2f - v) : 0;
        return new Ring(pose.Head + headUp * ((v * .068f * scale + lift) * headScale) + headFront * (forward * headScale), headLeft * w, headFront * d, v);
    }

    private void Shell(int part, float from, float to, float scale, int rings, float crumple = 0, float lift = 0)
    {
        Span<Ring> list = stackalloc Ring[rings];
        for (var r = 0; r < rings; r++) list[r] = Skull(from + (to - from) * r / (rings - 1), scale, lift) with { V = from + (to - from) * r / (rings - 1) };
        mesh.Add(part, list, 16, 2, crumple, texture);
    }

    private Vector3 AtHead(float left, float up, float front) => pose.Head + headScale * (headLeft * left + headUp * up + headFront * front);

    private void HeadAndHair()
    {
        headScale = pose.HeadScale * (person.Female ? .965f : 1);
        var yaw = pose.HeadYaw;
        var (sin, cos) = MathF.SinCos(pose.HeadPitch);
        var flat = new Vector3(MathF.Sin(yaw), 0, MathF.Cos(yaw));
        headLeft = new Vector3(MathF.Cos(yaw), 0, -MathF.Sin(yaw));
        headFront = flat * cos - Vector3.UnitY * sin;
        headUp = Vector3.UnitY * cos + flat * sin;

        var face = Part(new Material(Fabric.Skin, person.Skin)
        {
            Detail = Detail.Face,
            Seed = texture,
            Beard = person.Beard ? person.HairColour : null,
            Eyewear = person.Eyewear,
        }, LipLabel.Face);
        Shell(face, -1, 1, 1, 13);
        mesh.Add(face, [new(AtHead(0, .012f, .052f), headLeft * .003f, headFront * .003f, 0), new(AtHead(0, -.006f, .056f), headLeft * .006f, headFront * .007f, 0), new(AtHead(0, -.020f, .057f), headLeft * .008f, headFront * .006f, 0)], 6);
        for (var s = -1; s <= 1; s += 2)
            mesh.Add(face, [new(AtHead(s * .046f, -.016f, -.004f), headLeft * .003f, headFront * .006f, -.9f), new(AtHead(s * .049f, .0f, -.004f), headLeft * .005f, headFront * .011f, -.9f), new(AtHead(s * .048f, .014f, -.004f), headLeft * .002f, headFront * .006f, -.9f)], 6);
        var covered = Hat();
        Hair(covered);
        Scarf();
    }

    /// <summary>Adds the hat and says how high the hair may still show (v, 1 for no hat).</summary>
    private float Hat()
    {
        if (person.Hat is not { } hat) return 1.2f;
        var fabric = hat.Kind.Key switch { "beanie" => Fabric.Knit, "hood" => person.UpperCut.Fabric, _ => Fabric.Cotton };
        var material = new Material(fabric, hat.Colour) { Seed = texture + 40, Girth = .3f, Folds = hat.Kind.Key == "hood" ? .6f : .25f };
        switch (hat.Kind.Key)
        {
            case "hood":
                Shell(Part(material, LipLabel.Hat, HoodCut, -1, 1), -1.0f, .999f, 1.30f, 13, .03f, -.006f);
                mesh.Add(Part(material, person.UpperCut.Label), [Disc(pose.Spine(.31f), .062f, .056f), Disc(pose.Spine(.34f), .050f, .050f), Disc(pose.Spine(.37f), .046f, .050f)], 12);
                return -2;
            case "beanie":
                Shell(Part(material, LipLabel.Hat), .22f, .999f, 1.16f, 9, .02f, .004f);
                if (Noise.Hash(texture, 41, 1) < .3f) Ball(Part(material, LipLabel.Hat), AtHead(0, .094f, -.006f), .020f);
                return .15f;
            case "cap":
                var crown = Part(material, LipLabel.Hat);
                Shell(crown, .30f, .999f, 1.12f, 8);
                mesh.Add(crown, [new(AtHead(0, .030f, .030f), headLeft * .046f, headUp * .005f, 0), new(AtHead(0, .026f, .070f), headLeft * .044f, headUp * .004f, .03f), new(AtHead(0, .018f, .100f), headLeft * .032f, headUp * .003f, .06f), new(AtHead(0, .016f, .106f), headLeft * .012f, headUp * .001f, .07f)], 10);
                return .25f;
            default:
                var top = Part(material, LipLabel.Hat);
                Shell(top, .34f, .995f, 1.13f, 8, 0, .004f);
                mesh.Add(top, [new(AtHead(0, .036f, 0), headLeft * .048f, headFront * .056f, 0), new(AtHead(0, .028f, 0), headLeft * .095f, headFront * .104f, .05f), new(AtHead(0, .024f, 0), headLeft * .048f, headFront * .056f, .1f)], 18);
                return .3f;
        }
    }

    private void Ball(int part, Vector3 centre, float radius)
    {
        Span<Ring> rings = stackalloc Ring[6];
        for (var r = 0; r < 6; r++)
        {
            var (sin, cos) = MathF.SinCos(MathF.PI * (r + .15f) / 5.3f);
            rings[r] = new Ring(centre - headUp * (cos * radius), headLeft * (sin * radius), headFront * (sin * radius), r * .01f);
        }
        mesh.Add(part, rings, 10, 2, .1f, texture);
    }

    private void Hair(float top)
    {
        if (person.HairStyle == HairStyle.Bald || top < -1) return;
        var material = new Material(Fabric.Hair, person.HairColour) { Seed = texture + 45, Folds = person.HairStyle == HairStyle.Curly ? 1.2f : .4f };
        int Shape(float[] cut) => Part(material, LipLabel.Hair, cut, -1, 1);
        // Under a hat the shell stops at its rim; without one it closes over the crown.
        var crown = MathF.Min(top, .999f);
        var fringe = Noise.Hash(texture, 46, 2) < .4f;
        var loosely = 1.09f + .07f * Noise.Hash(texture, 47, 2);
        switch (person.HairStyle)
        {
            case HairStyle.Balding:
                Shell(Shape(ShortCut), -.55f, MathF.Min(crown, .42f), 1.05f, 6);
                break;
            case HairStyle.Cropped:
                Shell(Shape(CroppedCut), -.6f, crown, 1.045f, 10);
                break;
            case HairStyle.Short:
                Shell(Shape(fringe ? [.5f, .5f, .40f, .33f, .28f, .24f, .04f, 0, 0] : ShortCut), -.7f, crown, loosely, 11, .03f, .004f);
                break;
            case HairStyle.Curly:
                Shell(Shape(FullCut), -.85f, crown, person.Female ? 1.42f : 1.25f, 12, .10f, top > 1 ? .004f : -.006f);
                if (person.Female) Curtain(material, .05f, .072f, .066f, -.012f);
                break;
            case HairStyle.Bob:
                Shell(Shape(fringe ? FringeCut : PartedCut), -.95f, crown, loosely, 12, .02f);
                Curtain(material, .035f, .058f, .056f, -.008f);
                break;
            case HairStyle.Long:
                Shell(Shape(fringe ? FringeCut : PartedCut), -.95f, crown, loosely, 12, .02f);
                Curtain(material, .09f + .12f * Noise.Hash(texture, 48, 2), .060f, .058f, -.020f);
                break;
            case HairStyle.Ponytail:
                Shell(Shape(SweptCut), -.75f, crown, 1.07f, 10);
                var tail = Part(material, LipLabel.Hair);
                var length = .08f + .12f * Noise.Hash(texture, 48, 2);
                mesh.Add(tail, [new(AtHead(0, .034f, -.050f), headLeft * .010f, headUp * .010f, 0), new(AtHead(0, .024f, -.075f), headLeft * .019f, headUp * .018f, .03f), new(AtHead(0, -.02f, -.085f), headLeft * .021f, headFront * .015f, .07f), new(AtHead(0, -.06f - length * .5f, -.080f), headLeft * .020f, headFront * .014f, .12f), new(AtHead(0, -.06f - length, -.074f), headLeft * .006f, headFront * .006f, .2f)], 9, 2, .06f, texture);
                break;
            case HairStyle.Bun:
                Shell(Shape(SweptCut), -.75f, crown, 1.07f, 10);
                if (top > 1) Ball(Part(material, LipLabel.Hair), AtHead(0, .05f + .02f * Noise.Hash(texture, 48, 2), -.045f), .028f);
                break;
        }
    }

    /// <summary>Hair that hangs below the chin: open at the face, over neck and shoulders, ending <paramref name="length"/> below the chin.</summary>
    private void Curtain(Material material, float length, float w, float d, float back)
    {
        var part = Part(material, LipLabel.Hair, [.30f, .29f, .28f, .26f, .25f, .24f, .23f, .22f, .21f], -1, 1);
        Span<Ring> rings = stackalloc Ring[7];
        for (var r = 0; r < 7; r++)
        {
            var t = r / 6f; // 0 at the ends, 1 at the ears
            var y = -.068f - length + (length + .078f) * t;
            var low = 1 - t;
            var taper = r == 0 ? .82f : 1;
            rings[r] = new Ring(AtHead(0, y, back * (.4f + low) - .01f * low), headLeft * ((w * (.88f + .2f * low)) * taper * headScale), headFront * (d * (1 + .15f * low) * taper * headScale), -1 + 2 * t);
        }
        mesh.Add(part, rings, 16, 2, .06f, texture);
    }

    private void Scarf()
    {
        if (person.Scarf is not { } scarf) return;
        var part = Part(Cloth(scarf, Fabric.Knit, .35f, 1.1f, 49, scarf.Pattern), LipLabel.Scarf);
        mesh.Add(part, [Disc(pose.Spine(.318f), .052f, .050f, .80f), Disc(pose.Spine(.332f), .064f, .060f, .82f), Disc(pose.Spine(.352f), .062f, .058f, .84f), Disc(pose.Spine(.372f), .050f, .050f, .86f)], 14, 2, .08f, texture);
        var (left, front) = pose.Axes(.25f);
        var x = left * (.02f * (Noise.Hash(texture, 50, 2) < .5f ? 1 : -1));
        Vector3 a = pose.Spine(.33f) + front * .055f + x, b = pose.Spine(.17f + .06f * Noise.Hash(texture, 51, 2)) + front * .088f + x;
        mesh.Add(part, [new(a, left * .022f, front * .010f, .82f), new((a + b) / 2 + front * .012f, left * .026f, front * .009f, .75f), new(b, left * .027f, front * .007f, .68f)], 8, 3, .05f, texture);
    }
}
