namespace Plip.Data.World;

/// <summary>Age group, as PA-100K divides people.</summary>
public enum AgeGroup
{
    /// <summary>Under 18.</summary>
    Child,
    /// <summary>18 to 60.</summary>
    Adult,
    /// <summary>Over 60.</summary>
    Senior,
}

/// <summary>How the hair is worn.</summary>
public enum HairStyle
{
    /// <summary>None.</summary>
    Bald,
    /// <summary>A fringe round the back of the head.</summary>
    Balding,
    /// <summary>Cut close.</summary>
    Cropped,
    /// <summary>Above the ears or just over them.</summary>
    Short,
    /// <summary>To the chin or shoulder.</summary>
    Bob,
    /// <summary>Below the shoulder.</summary>
    Long,
    /// <summary>Tied back and hanging.</summary>
    Ponytail,
    /// <summary>Tied up.</summary>
    Bun,
    /// <summary>A full round head of curls.</summary>
    Curly,
}

/// <summary>What a garment shows besides its main colour.</summary>
public enum Pattern
{
    /// <summary>One colour.</summary>
    Plain,
    /// <summary>Horizontal stripes of a second colour.</summary>
    Striped,
    /// <summary>Thin vertical stripes.</summary>
    Pinstriped,
    /// <summary>A check or plaid.</summary>
    Checked,
    /// <summary>Shoulders and sleeves in the second colour.</summary>
    TwoTone,
    /// <summary>Lower half of the torso in the second colour.</summary>
    ColourBlock,
    /// <summary>Sleeves alone in the second colour.</summary>
    Sleeves,
    /// <summary>A logo or picture on the chest.</summary>
    Logo,
    /// <summary>Scattered spots, flowers or blotches.</summary>
    Print,
    /// <summary>A line of the second colour down the outer seam.</summary>
    SideStripe,
}

/// <summary>Glasses.</summary>
public enum Eyewear
{
    /// <summary>None.</summary>
    None,
    /// <summary>Clear glasses.</summary>
    Glasses,
    /// <summary>Sunglasses.</summary>
    Sunglasses,
}

/// <summary>One worn or carried thing.</summary>
/// <param name="Kind">Its kind.</param>
/// <param name="Shade">The shade its main colour was drawn from.</param>
/// <param name="Colour">The main colour itself, the same in every picture of the identity.</param>
/// <param name="Pattern">Its pattern.</param>
/// <param name="Shade2">The second shade; the first again where the pattern is plain.</param>
/// <param name="Colour2">The second colour.</param>
public sealed record Garment(ItemKind Kind, Shade Shade, Rgb Colour, Pattern Pattern, Shade Shade2, Rgb Colour2);

/// <summary>
/// Everything about one identity that stays the same from picture to picture: body, hair, clothes and belongings.
/// Lengths are in body heights. A pure function of (seed, identity): see <see cref="Sample(ulong, int)"/>.
/// </summary>
public sealed partial record PersonAppearance
{
    /// <summary>The identity's number.</summary>
    public required int Identity { get; init; }
    /// <summary>Whether a woman or girl.</summary>
    public required bool Female { get; init; }
    /// <summary>Age group.</summary>
    public required AgeGroup Age { get; init; }
    /// <summary>Breadth of the body relative to the average (about 0.85 to 1.3).</summary>
    public required float Build { get; init; }
    /// <summary>Height relative to an average adult (about 0.7 to 1.08).</summary>
    public required float Stature { get; init; }
    /// <summary>Skin colour.</summary>
    public required Rgb Skin { get; init; }
    /// <summary>Whether the skin is dark enough to be remarked on.</summary>
    public required bool DarkSkin { get; init; }
    /// <summary>Hair style.</summary>
    public required HairStyle HairStyle { get; init; }
    /// <summary>Hair shade; what stubble there is for the bald.</summary>
    public required Shade HairShade { get; init; }
    /// <summary>Hair colour.</summary>
    public required Rgb HairColour { get; init; }
    /// <summary>Whether there is a beard.</summary>
    public required bool Beard { get; init; }
    /// <summary>Glasses or none.</summary>
    public required Eyewear Eyewear { get; init; }
    /// <summary>The outermost upper garment, or the dress.</summary>
    public required Garment Upper { get; init; }
    /// <summary>Whether the outermost garment hangs open over <see cref="Inner"/>.</summary>
    public required bool Open { get; init; }
    /// <summary>The top under an open garment, seen at the neck of a closed one.</summary>
    public required Garment Inner { get; init; }
    /// <summary>The lower garment; null under a dress.</summary>
    public required Garment? Lower { get; init; }
    /// <summary>The shoes.</summary>
    public required Garment Shoes { get; init; }
    /// <summary>Colour of tights or socks on bare legs; null for none.</summary>
    public required Rgb? Hose { get; init; }
    /// <summary>Hat, cap or a raised hood; null for none.</summary>
    public required Garment? Hat { get; init; }
    /// <summary>Scarf; null for none.</summary>
    public required Garment? Scarf { get; init; }
    /// <summary>Colour of gloves; null for none.</summary>
    public required Rgb? Gloves { get; init; }
    /// <summary>Bag; null for none.</summary>
    public required Garment? Bag { get; init; }
    /// <summary>Object in the hand; null for none.</summary>
    public required Garment? Held { get; init; }
    /// <summary>Seeds the cloth's own irregularities, so that folds and prints stay with the garment.</summary>
    internal uint Texture { get; init; }

    /// <summary>Whether bag and object are in the other hands than usual.</summary>
    internal bool Mirrored => (Texture & 1) == 1;

    internal UpperKind UpperCut => (UpperKind)Upper.Kind;
    internal UpperKind InnerCut => (UpperKind)Inner.Kind;
    internal LowerKind? LowerCut => (LowerKind?)Lower?.Kind;
    internal ShoeKind ShoeCut => (ShoeKind)Shoes.Kind;
}
