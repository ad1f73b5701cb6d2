namespace Plip.Data.World;

/// <summary>What a surface is made of, which decides its folds, grain and shine.</summary>
internal enum Fabric { Cotton, Denim, Knit, Wool, Leather, Puffer, Nylon, Silk, Skin, Hair, Rubber }

/// <summary>What runs down the front of an upper garment.</summary>
internal enum Front { None, Zip, Buttons, Lapels, Placket }

/// <summary>LIP's 20 part classes (Gong et al., "Look into Person", CVPR 2017), in the order of their labels.</summary>
public enum LipLabel : byte
{
    /// <summary>Everything that is not a labelled part; bags and held objects too.</summary>
    Background,
    /// <summary>Hats, caps and hoods that are up.</summary>
    Hat,
    /// <summary>Hair.</summary>
    Hair,
    /// <summary>Gloves.</summary>
    Glove,
    /// <summary>Sunglasses and glasses.</summary>
    Sunglasses,
    /// <summary>Upper clothes.</summary>
    UpperClothes,
    /// <summary>Dresses.</summary>
    Dress,
    /// <summary>Coats and jackets worn over other clothes.</summary>
    Coat,
    /// <summary>Socks.</summary>
    Socks,
    /// <summary>Trousers and shorts.</summary>
    Pants,
    /// <summary>Jumpsuits.</summary>
    Jumpsuits,
    /// <summary>Scarves.</summary>
    Scarf,
    /// <summary>Skirts.</summary>
    Skirt,
    /// <summary>Face and neck.</summary>
    Face,
    /// <summary>Bare left arm and hand.</summary>
    LeftArm,
    /// <summary>Bare right arm and hand.</summary>
    RightArm,
    /// <summary>Bare left leg.</summary>
    LeftLeg,
    /// <summary>Bare right leg.</summary>
    RightLeg,
    /// <summary>Left shoe.</summary>
    LeftShoe,
    /// <summary>Right shoe.</summary>
    RightShoe,
}

/// <summary>A thing one can wear or carry: its names and how often men and women do.</summary>
/// <param name="Key">Its unique name, used in JSON.</param>
/// <param name="Words">What captions may call it, the usual word first.</param>
/// <param name="Men">Weight among men.</param>
/// <param name="Women">Weight among women.</param>
public record ItemKind(string Key, string[] Words, float Men, float Women);

/// <summary>An upper garment's cut. Lengths are in body heights.</summary>
internal sealed record UpperKind(string Key, string[] Words, float Men, float Women, LipLabel Label, Fabric Fabric, float Sleeve, float Hem, float Loose, Front Front,
    bool Opens = false, bool Hood = false, bool Collar = false, float Flare = 0, bool Patterned = true) : ItemKind(Key, Words, Men, Women)
{
    public bool IsDress => Label == LipLabel.Dress;
    public bool IsWarm => Label == LipLabel.Coat || Fabric == Fabric.Knit;
}

/// <summary>A lower garment's cut: <paramref name="Hem"/> is a height above the ground, loosenesses are in body heights.</summary>
internal sealed record LowerKind(string Key, string[] Words, float Men, float Women, LipLabel Label, Fabric Fabric, float Hem, float Loose, float Ankle, float Flare = 0)
    : ItemKind(Key, Words, Men, Women)
{
    public bool IsSkirt => Label == LipLabel.Skirt;
    public bool IsShort => Hem > .2f && !IsSkirt;
}

/// <summary>A shoe: how high its shaft reaches, and the shape of sole and opening.</summary>
internal sealed record ShoeKind(string Key, string[] Words, float Men, float Women, float Shaft, bool PaleSole, bool Open, float Heel, Fabric Fabric) : ItemKind(Key, Words, Men, Women);

/// <summary>Every kind of garment, shoe, hat, bag and object of the world.</summary>
public static class Wardrobe
{
    internal static readonly UpperKind[] Uppers =
    [
        new("t-shirt", W("t-shirt|tee|top|short sleeved top|tshirt"), 10, 6, LipLabel.UpperClothes, Fabric.Cotton, .5f, .47f, .010f, Front.None),
        new("long sleeved top", W("long sleeved top|long sleeve t-shirt|top"), 3, 5, LipLabel.UpperClothes, Fabric.Cotton, 1, .475f, .009f, Front.None),
        new("shirt", W("shirt|long sleeved shirt|button up shirt|collared shirt"), 7, 3, LipLabel.UpperClothes, Fabric.Cotton, 1, .465f, .010f, Front.Buttons, Opens: true, Collar: true),
        new("short sleeved shirt", W("short sleeved shirt|shirt|button up shirt"), 3, 1, LipLabel.UpperClothes, Fabric.Cotton, .5f, .465f, .012f, Front.Buttons, Collar: true),
        new("blouse", W("blouse|top|shirt"), 0, 5, LipLabel.UpperClothes, Fabric.Silk, 1, .475f, .012f, Front.Buttons, Collar: true),
        new("polo shirt", W("polo shirt|polo|collared t-shirt"), 4, 1, LipLabel.UpperClothes, Fabric.Cotton, .5f, .47f, .009f, Front.Placket, Collar: true),
        new("tank top", W("tank top|vest top|sleeveless top|sleeveless shirt"), 1, 3, LipLabel.UpperClothes, Fabric.Cotton, 0, .475f, .006f, Front.None),
        new("sweater", W("sweater|jumper|pullover|knitted sweater"), 5, 5, LipLabel.UpperClothes, Fabric.Knit, 1, .465f, .015f, Front.None),
        new("sweatshirt", W("sweatshirt|sweater|crew neck sweatshirt"), 3, 2, LipLabel.UpperClothes, Fabric.Cotton, 1, .47f, .016f, Front.None),
        new("turtleneck", W("turtleneck|roll neck sweater|turtleneck sweater|polo neck"), 1, 2, LipLabel.UpperClothes, Fabric.Knit, 1, .47f, .010f, Front.None),
        new("hoodie", W("hoodie|hooded sweatshirt|hooded top|hoody"), 6, 3, LipLabel.UpperClothes, Fabric.Cotton, 1, .465f, .018f, Front.None, Hood: true),
        new("zip hoodie", W("zipped hoodie|zip up hoodie|hooded jacket"), 3, 2, LipLabel.Coat, Fabric.Cotton, 1, .465f, .016f, Front.Zip, Opens: true, Hood: true),
        new("cardigan", W("cardigan|knitted cardigan|open cardigan"), 1, 4, LipLabel.Coat, Fabric.Knit, 1, .45f, .013f, Front.Buttons, Opens: true),
        new("jacket", W("jacket|zipped jacket|zip up jacket|short coat"), 7, 5, LipLabel.Coat, Fabric.Nylon, 1, .46f, .018f, Front.Zip, Opens: true, Collar: true),
        new("tracksuit top", W("tracksuit top|track jacket|sports jacket|training jacket"), 3, 1, LipLabel.Coat, Fabric.Nylon, 1, .465f, .014f, Front.Zip, Opens: true, Collar: true),
        new("denim jacket", W("denim jacket|jean jacket"), 2, 3, LipLabel.Coat, Fabric.Denim, 1, .475f, .014f, Front.Buttons, Opens: true, Collar: true, Patterned: false),
        new("leather jacket", W("leather jacket|leather coat|biker jacket"), 3, 2, LipLabel.Coat, Fabric.Leather, 1, .47f, .016f, Front.Zip, Opens: true, Collar: true, Patterned: false),
        new("blazer", W("blazer|suit jacket|suit|suit coat"), 5, 3, LipLabel.Coat, Fabric.Wool, 1, .44f, .014f, Front.Lapels, Opens: true, Collar: true),
        new("coat", W("coat|overcoat|long coat|thigh length coat"), 4, 5, LipLabel.Coat, Fabric.Wool, 1, .36f, .020f, Front.Lapels, Opens: true, Collar: true, Flare: .018f, Patterned: false),
        new("long coat", W("long coat|knee length coat|overcoat|trench coat"), 2, 4, LipLabel.Coat, Fabric.Wool, 1, .27f, .018f, Front.Buttons, Opens: true, Collar: true, Flare: .028f, Patterned: false),
        new("raincoat", W("raincoat|anorak|waterproof jacket|windbreaker"), 2, 2, LipLabel.Coat, Fabric.Nylon, 1, .42f, .022f, Front.Zip, Opens: true, Hood: true, Collar: true, Patterned: false),
        new("parka", W("parka|hooded coat|winter coat"), 2, 3, LipLabel.Coat, Fabric.Nylon, 1, .38f, .026f, Front.Zip, Opens: true, Hood: true, Collar: true, Patterned: false),
        new("puffer", W("puffer jacket|padded jacket|quilted jacket|down jacket|padded coat"), 5, 5, LipLabel.Coat, Fabric.Puffer, 1, .455f, .030f, Front.Zip, Opens: true, Hood: true, Collar: true),
        new("long puffer", W("long puffer coat|long padded coat|long down coat"), 0, 2, LipLabel.Coat, Fabric.Puffer, 1, .32f, .028f, Front.Zip, Opens: true, Hood: true, Collar: true, Patterned: false),
        new("gilet", W("gilet|body warmer|padded vest|sleeveless jacket"), 1, 1, LipLabel.Coat, Fabric.Puffer, 0, .46f, .024f, Front.Zip, Opens: true, Collar: true, Patterned: false),
        new("fleece", W("fleece|fleece jacket|soft jacket"), 2, 2, LipLabel.Coat, Fabric.Knit, 1, .465f, .018f, Front.Zip, Opens: true, Collar: true),
        new("tunic", W("tunic|long top|long shirt"), 0, 3, LipLabel.UpperClothes, Fabric.Silk, .6f, .39f, .012f, Front.None, Flare: .012f),
        new("dress", W("dress|short dress|summer dress"), 0, 4, LipLabel.Dress, Fabric.Silk, .4f, .31f, .008f, Front.None, Flare: .045f),
        new("sleeveless dress", W("sleeveless dress|dress|sundress"), 0, 2, LipLabel.Dress, Fabric.Cotton, 0, .30f, .006f, Front.None, Flare: .050f),
        new("long dress", W("long dress|maxi dress|dress"), 0, 2, LipLabel.Dress, Fabric.Silk, .5f, .12f, .008f, Front.None, Flare: .060f),
    ];

    internal static readonly LowerKind[] Lowers =
    [
        new("trousers", W("trousers|pants|slacks"), 11, 7, LipLabel.Pants, Fabric.Wool, .03f, .012f, .016f),
        new("chinos", W("chinos|trousers|pants|cotton trousers"), 5, 2, LipLabel.Pants, Fabric.Cotton, .04f, .010f, .012f),
        new("wide trousers", W("wide trousers|loose pants|wide leg trousers|baggy trousers"), 2, 3, LipLabel.Pants, Fabric.Silk, .02f, .020f, .036f),
        new("joggers", W("joggers|sweatpants|tracksuit bottoms|jogging bottoms"), 5, 2, LipLabel.Pants, Fabric.Cotton, .05f, .016f, .008f),
        new("jeans", W("jeans|denim jeans|denim pants"), 12, 9, LipLabel.Pants, Fabric.Denim, .03f, .008f, .014f),
        new("skinny jeans", W("skinny jeans|tight jeans|jeans"), 2, 8, LipLabel.Pants, Fabric.Denim, .05f, .001f, .004f),
        new("flared jeans", W("flared jeans|bootcut jeans|jeans"), 0, 3, LipLabel.Pants, Fabric.Denim, .02f, .004f, .036f),
        new("shorts", W("shorts|short pants|knee length shorts"), 6, 2, LipLabel.Pants, Fabric.Cotton, .30f, .018f, .018f),
        new("denim shorts", W("denim shorts|jean shorts|shorts"), 1, 3, LipLabel.Pants, Fabric.Denim, .36f, .010f, .012f),
        new("capris", W("capri pants|cropped trousers|three quarter length trousers"), 1, 3, LipLabel.Pants, Fabric.Cotton, .15f, .008f, .010f),
        new("leggings", W("leggings|tights|tight leggings"), 0, 6, LipLabel.Pants, Fabric.Cotton, .06f, .000f, .001f),
        new("short skirt", W("skirt|short skirt|mini skirt"), 0, 5, LipLabel.Skirt, Fabric.Cotton, .36f, .008f, 0, .030f),
        new("pencil skirt", W("skirt|knee length skirt|pencil skirt"), 0, 3, LipLabel.Skirt, Fabric.Wool, .27f, .006f, 0, .004f),
        new("long skirt", W("long skirt|maxi skirt|skirt"), 0, 3, LipLabel.Skirt, Fabric.Silk, .10f, .008f, 0, .060f),
    ];

    internal static readonly ShoeKind[] Shoes =
    [
        new("trainers", W("trainers|sneakers|running shoes|sports shoes"), 10, 8, 0, true, false, 0, Fabric.Cotton),
        new("canvas shoes", W("canvas shoes|plimsolls|sneakers"), 3, 3, 0, true, false, 0, Fabric.Cotton),
        new("shoes", W("shoes|leather shoes"), 6, 4, 0, false, false, .004f, Fabric.Leather),
        new("dress shoes", W("dress shoes|smart shoes|formal shoes"), 4, 0, 0, false, false, .006f, Fabric.Leather),
        new("boots", W("boots|ankle boots|leather boots"), 3, 5, .07f, false, false, .010f, Fabric.Leather),
        new("high boots", W("knee high boots|long boots|high boots"), 0, 3, .20f, false, false, .014f, Fabric.Leather),
        new("sandals", W("sandals|open shoes"), 2, 3, 0, false, true, 0, Fabric.Leather),
        new("heels", W("high heels|heels|heeled shoes"), 0, 3, 0, false, false, .028f, Fabric.Leather),
        new("flat shoes", W("flat shoes|flats|ballet flats"), 0, 4, 0, false, true, 0, Fabric.Leather),
    ];

    internal static readonly ItemKind[] Hats =
    [
        new("cap", W("cap|baseball cap|hat"), 12, 4),
        new("beanie", W("beanie|woolly hat|knitted hat|hat"), 7, 7),
        new("brimmed hat", W("brimmed hat|hat|sun hat|wide brimmed hat"), 3, 5),
        new("hood", W("hood|raised hood"), 0, 0),
    ];

    internal static readonly ItemKind[] Bags =
    [
        new("backpack", W("backpack|rucksack|back pack"), 20, 13),
        new("shoulder bag", W("shoulder bag|messenger bag|bag|crossbody bag"), 8, 12),
        new("handbag", W("handbag|bag|hand bag|purse"), 1, 14),
        new("tote bag", W("tote bag|bag|large bag|shoulder bag"), 1, 7),
        new("briefcase", W("briefcase|laptop bag|bag"), 4, 1),
        new("suitcase", W("suitcase|wheeled suitcase|trolley case|luggage"), 3, 3),
        new("waist bag", W("waist bag|bum bag|belt bag"), 2, 1),
    ];

    internal static readonly ItemKind[] Objects =
    [
        new("phone", W("phone|mobile phone|cell phone"), 8, 8),
        new("shopping bag", W("shopping bag|plastic bag|carrier bag|paper bag"), 5, 7),
        new("bottle", W("bottle|water bottle|drink"), 3, 3),
        new("cup", W("cup|coffee cup|paper cup"), 2, 2),
        new("paper", W("paper|sheet of paper|white paper|leaflet"), 3, 3),
        new("folder", W("folder|book|file"), 3, 3),
        new("open umbrella", W("open umbrella|umbrella"), 1, 2),
        new("umbrella", W("umbrella|folded umbrella|closed umbrella"), 1, 2),
    ];

    /// <summary>Every kind, by the slot it fills: upper, lower, shoes, hat, bag, object.</summary>
    public static IReadOnlyList<(string Slot, ItemKind Kind)> All { get; } =
        [.. Uppers.Select(k => ("upper", (ItemKind)k)), .. Lowers.Select(k => ("lower", (ItemKind)k)), .. Shoes.Select(k => ("shoes", (ItemKind)k)),
         .. Hats.Select(k => ("hat", k)), .. Bags.Select(k => ("bag", k)), .. Objects.Select(k => ("object", k))];

    private static string[] W(string words) => words.Split('|');
}
