using System.Numerics;

namespace Plip.Data.World;

/// <summary>What the arms do.</summary>
internal enum ArmAct { Swing, Hang, Pocket, Bent, Raised, Carry }

/// <summary>
/// A body's stance in one picture and the joints that follow from it. Units are body heights; x is the person's left,
/// y up, z the way the person faces; index 0 is left, 1 right.
/// </summary>
internal sealed class Pose
{
    /// <summary>Whether in stride rather than standing.</summary>
    public bool Walking { get; private set; }

    public float Yaw, Twist, Lean, HeadYaw, HeadPitch, Sway;
    public Vector3 Pelvis;
    public readonly Vector3[] Hip = new Vector3[2], Knee = new Vector3[2], Ankle = new Vector3[2], Toe = new Vector3[2], Heel = new Vector3[2];
    public readonly Vector3[] Shoulder = new Vector3[2], Elbow = new Vector3[2], Wrist = new Vector3[2], Hand = new Vector3[2];
    public readonly ArmAct[] Act = new ArmAct[2];
    public Vector3 Neck, Head;

    private const float Thigh = .235f, Shank = .235f, UpperArm = .165f, Forearm = .140f;

    /// <summary>Width of shoulders and hips against the average, from build and sex.</summary>
    public float ShoulderWidth, HipWidth, HeadScale;

    public static Pose Sample(Draw draw, PersonAppearance person)
    {
        var pose = new Pose
        {
            Yaw = SampleYaw(draw),
            Lean = draw.Bell(.03f, .03f) + (person.Age == AgeGroup.Senior ? .07f : 0),
            Sway = draw.Bell(0, .012f),
            HeadYaw = draw.Bell(0, .3f),
            HeadPitch = draw.Bell(.08f, .12f),
            ShoulderWidth = person.Build * (person.Female ? .91f : 1),
            HipWidth = person.Build * (person.Female ? 1.04f : 1),
            HeadScale = person.Age == AgeGroup.Child ? 1.24f : 1,
        };
        var walking = pose.Walking = draw.Chance(.8);
        pose.Legs(draw, walking ? draw.Range(0, MathF.Tau) : MathF.PI / 2 * draw.Range(-.3f, .3f), walking ? draw.Range(.25f, .55f) : draw.Range(.0f, .08f));
        pose.ChooseArms(draw, person, walking);
        return pose;
    }

    /// <summary>Eight tenths spread evenly round the circle; the rest favours the plain front, back and side views.</summary>
    private static float SampleYaw(Draw draw) =>
        draw.Chance(.8) ? draw.Range(-MathF.PI, MathF.PI) : draw.Next(4) * MathF.PI / 2 + draw.Bell(0, .12f);

    private float stride, phase;

    private void Legs(Draw draw, float walkPhase, float amplitude)
    {
        (phase, stride) = (walkPhase, amplitude);
        Pelvis = new Vector3(Sway, .505f, 0);
        var splay = draw.Range(0, .05f);
        var low = float.MaxValue;
        for (var i = 0; i < 2; i++)
        {
            var p = phase + i * MathF.PI;
            var side = i == 0 ? 1 : -1;
            var swing = amplitude * MathF.Sin(p) + .03f;
            var bend = .06f + amplitude * (1.25f * MathF.Max(0, MathF.Cos(p)) + .25f * MathF.Max(0, -MathF.Sin(p)));
            Hip[i] = Pelvis + new Vector3(side * .047f * HipWidth, 0, 0);
            Knee[i] = Hip[i] + Thigh * Direction(swing, side * splay);
            Ankle[i] = Knee[i] + Shank * Direction(swing - bend, side * splay * .6f);
            // The foot is flat under the body, heel up behind, toe up in front: it follows the shank, damped.
            var pitch = Math.Clamp((swing - bend) * .9f + (MathF.Sin(p) > 0 ? .05f : -.1f), -.9f, .35f);
            var turn = side * draw.Range(.05f, .3f);
            var forward = new Vector3(MathF.Sin(turn) * MathF.Cos(pitch), MathF.Sin(pitch), MathF.Cos(turn) * MathF.Cos(pitch));
            var down = Vector3.Normalize(Vector3.Cross(forward, new Vector3(MathF.Cos(turn), 0, -MathF.Sin(turn))));
            if (down.Y > 0) down = -down;
            Heel[i] = Ankle[i] + down * .036f - forward * .030f;
            Toe[i] = Ankle[i] + down * .036f + forward * .100f;
            low = MathF.Min(low, MathF.Min(Heel[i].Y, Toe[i].Y));
        }
        var lift = new Vector3(0, -low, 0);
        Pelvis += lift;
        for (var i = 0; i < 2; i++)
        {
            Hip[i] += lift;
            Knee[i] += lift;
            Ankle[i] += lift;
            Heel[i] += lift;
            Toe[i] += lift;
        }
        Twist = -.25f * amplitude * MathF.Sin(phase) * 1.6f;
        Neck = Spine(.36f);
        Head = Spine(.415f) + new Vector3(0, .012f * (HeadScale - 1), .012f);
    }

    /// <summary>Mirrors what is still asked of a pose once the body is built: where its feet stand.</summary>
    public void Mirror()
    {
        for (var i = 0; i < 2; i++)
        {
            Heel[i].X = -Heel[i].X;
            Toe[i].X = -Toe[i].X;
        }
    }

    /// <summary>The spine's centre <paramref name="height"/> above the pelvis: it leans forward more towards the top.</summary>
    public Vector3 Spine(float height) =>
        Pelvis + new Vector3(-Sway * height * 1.5f, height * MathF.Cos(Lean * .6f), MathF.Sin(Lean) * height * (.5f + height));

    /// <summary>The body's own left and front at a height above the pelvis, turned by the walk's twist.</summary>
    public (Vector3 Left, Vector3 Front) Axes(float height)
    {
        var t = Twist * Math.Clamp(height / .3f, -.6f, 1);
        return (new Vector3(MathF.Cos(t), 0, -MathF.Sin(t)), new Vector3(MathF.Sin(t), 0, MathF.Cos(t)));
    }

    private void ChooseArms(Draw draw, PersonAppearance person, bool walking)
    {
        var common = draw.Uniform() switch { < .62f => walking ? ArmAct.Swing : ArmAct.Hang, < .74f => ArmAct.Pocket, < .84f => ArmAct.Bent, _ => ArmAct.Swing };
        Act[0] = draw.Chance(.15) ? ArmAct.Bent : common;
        Act[1] = draw.Chance(.15) ? ArmAct.Swing : common;
        // The right hand has the object, the left the bag; which is left in the picture is the view's business.
        switch (person.Held?.Kind.Key)
        {
            case null: break;
            case "phone": Act[1] = draw.Chance(.6) ? ArmAct.Raised : ArmAct.Bent; break;
            case "open umbrella": Act[1] = ArmAct.Bent; break;
            case "shopping bag" or "umbrella": Act[1] = ArmAct.Carry; break;
            case "bottle" or "cup" or "paper": Act[1] = draw.Chance(.6) ? ArmAct.Bent : ArmAct.Hang; break;
            default: Act[1] = draw.Chance(.5) ? ArmAct.Bent : ArmAct.Carry; break;
        }
        if (person.Bag?.Kind.Key is "handbag" or "briefcase" or "suitcase") Act[0] = ArmAct.Carry;
        for (var i = 0; i < 2; i++) Arm(draw, i, full: i == 1 && person.Held is not null);
    }

    private void Arm(Draw draw, int i, bool full)
    {
        var side = i == 0 ? 1 : -1;
        var (left, front) = Axes(.30f);
        Shoulder[i] = Spine(.276f) + left * (side * .087f * ShoulderWidth) + front * .002f;
        var swing = -stride * 1.1f * MathF.Sin(phase + i * MathF.PI) + draw.Bell(0, .06f);
        var (raise, spread, bend, inward) = Act[i] switch
        {
            ArmAct.Swing => (swing, draw.Range(.06f, .16f), draw.Range(.15f, .45f) + MathF.Max(0, swing) * .8f, 0f),
            ArmAct.Hang => (swing * .3f, draw.Range(.05f, .14f), draw.Range(.08f, .3f), .05f),
            ArmAct.Pocket => (-.35f, .28f, .75f, .45f),
            ArmAct.Bent => (draw.Range(-.1f, .2f), draw.Range(.1f, .25f), full ? draw.Range(1.2f, 1.7f) : draw.Range(.6f, 1.3f), draw.Range(.3f, .8f)),
            ArmAct.Raised => (draw.Range(.2f, .5f), .3f, draw.Range(2.2f, 2.5f), .35f),
            _ => (swing * .3f, .1f, .1f, 0f),
        };
        Vector3 Turn(float angle, float outward)
        {
            var d = Direction(angle, side * outward);
            return left * d.X + new Vector3(0, d.Y, 0) + front * d.Z;
        }
        Elbow[i] = Shoulder[i] + UpperArm * Turn(raise, spread);
        var low = Turn(raise + bend, spread * .5f - inward);
        Wrist[i] = Elbow[i] + Forearm * low;
        Hand[i] = Wrist[i] + .05f * low;
    }

    /// <summary>Down, swung forward by <paramref name="angle"/> and out to the left by <paramref name="outward"/>.</summary>
    private static Vector3 Direction(float angle, float outward)
    {
        var c = MathF.Cos(outward);
        return new Vector3(MathF.Sin(outward), -MathF.Cos(angle) * c, MathF.Sin(angle) * c);
    }
}
