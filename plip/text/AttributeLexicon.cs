using System.Collections.Frozen;

namespace Plip.Text;

/// <summary>The part a word can play in an attribute phrase.</summary>
internal enum WordRole
{
    /// <summary>No part: it ends a phrase.</summary>
    None,

    /// <summary>"very", "all", "no": only before another modifier (or, for "no", a noun).</summary>
    Degree,

    /// <summary>Size, length, shade, pattern, material, fit: only together with a noun.</summary>
    Modifier,

    /// <summary>A colour: a phrase even without a noun ("dressed in black").</summary>
    Colour,

    /// <summary>Age, build, origin: a phrase even without a noun ("the man is elderly").</summary>
    PersonModifier,

    /// <summary>"bald", "blonde": a phrase of hair even before another noun ("a bald man").</summary>
    HairModifier,

    /// <summary>A noun that is a phrase by itself.</summary>
    Noun,

    /// <summary>A noun that says nothing without a modifier: "head", "soles", "pockets".</summary>
    Part,

    /// <summary>A noun that may be followed by "of": "sheet of paper".</summary>
    Container,
}

/// <summary>One entry; no kind means that of the garment named before it ("a coat with white stripes").</summary>
internal readonly record struct WordEntry(WordRole Role, AttributeKind? Kind);

/// <summary>
/// The words of attribute phrases, by what they do. Entries are lower case, singular (plurals are derived), and write
/// hyphens as blanks: "t shirt" stands for t-shirt and t shirt alike.
/// </summary>
internal static class AttributeLexicon
{
    private const string Degrees = """
        very, quite, fairly, rather, really, extremely, slightly, somewhat, mostly, mainly, partly, partially, all, almost,
        nearly, completely, totally, entirely, no, both, also, possibly, probably, maybe, predominantly
        """;

    private const string Colours = """
        black, white, grey, gray, red, blue, green, yellow, brown, orange, pink, purple, violet, beige, tan, navy, cream,
        gold, golden, silver, bronze, copper, maroon, burgundy, crimson, scarlet, wine red, rust, peach, coral, salmon, rose,
        fuchsia, magenta, mauve, plum, lavender, lilac, indigo, turquoise, teal, aqua, cyan, mint, lime, olive, khaki,
        emerald, mustard, ivory, charcoal, taupe, camel, nude, off white, baby blue, baby pink, sky blue, bluish, reddish,
        greenish, brownish, greyish, grayish, yellowish, whitish, blackish, pinkish, purplish, chocolate, multicolored,
        multicoloured, multi colored, multi coloured, multi color, multi colour, rainbow, chestnut, auburn, aquamarine, lemon,
        ochre, sepia, salt and pepper, amber, ebony, cobalt, azure, cerulean, hot pink
        """;

    private const string Modifiers = """
        dark, light, fair, sandy, platinum, strawberry, ash, bright, pale, deep, dull, vivid, neon, fluorescent, pastel, royal, sky, midnight, army, forest, dusty,
        faded, washed, acid, bleached, solid, plain, colored, coloured, color, colour, colorful, colourful, colours, toned,
        darker, lighter, brighter, shiny, glossy, matte, sheer, transparent, see through, reflective, hi vis, high visibility,
        two tone, two toned, two tones, monochrome, warm, medium, mid, same, matching, different, contrasting, ombre, tie dye,
        tie dyed, dyed, metallic, sparkly, iridescent, hazel,

        short, long, longer, shorter, cropped, crop, mini, maxi, midi, full, half, quarter, three quarter, 3 4, three fourths,
        knee length, knee high, thigh length, thigh high, calf length, ankle length, waist length, hip length, floor length,
        shoulder length, mid length, medium length, full length, elbow length, chin length, neck length, chest length, ear length,
        back length, above knee, below knee, mid calf, mid thigh, low cut, high cut, high top, low top, high waisted, low waisted,
        high rise, low rise, high, low, cut off, length, sleeved, sleeveless, armless, strapless, backless, collared, collarless,
        hooded, zip up, zip, zipped, zippered, zipper up, full zip, half zip, button up, button down, buttoned, unbuttoned,
        unzipped, open, closed, belted, laced, lace up, slip on, strapped, strappy, spaghetti strap, double breasted, single breasted,
        v neck, crew neck, round neck, high neck, scoop neck, halter neck, boat neck, square neck, cowl neck, open neck, v necked, round necked, open toe, open toed, closed toe, peep toe,
        pointed toe, pointy, pointed, heeled, high heeled, platform, wedge, thick soled, white soled, ripped, torn, distressed,
        rolled, rolled up, tucked, tucked in, untucked, cuffed, hemmed, fringed, frayed, pleated, ruffled, frilly, tiered, layered,
        flared, bootcut, boot cut, straight leg, wide leg, wide legged, skinny leg, loose, loose fitting, tight, tight fitting,
        form fitting, fitted, fitting, baggy, oversized, over sized, slim fit, slim fitting, skinny fit, stretch, stretchy, lightweight,

        striped, stripy, stripey, pinstriped, plaid, checked, checkered, chequered, checkerboard, tartan, gingham, flannel, floral,
        flowered, flowery, printed, patterned, graphic, dotted, polka dot, polka dotted, spotted, camouflage, camouflaged, camo,
        leopard, leopard print, animal print, zebra, snakeskin, paisley, argyle, embroidered, lettered, abstract,
        geometric, horizontal, vertical, diagonal, horizontally, vertically, bordered, trimmed, lined, colour block, color block,
        colorblock, houndstooth, herringbone, tribal, hawaiian, textured, quilted, padded, puffed, puffy, puffer, ribbed, knit,
        knitted, woven, crochet, crocheted, cable knit,

        denim, leather, cotton, cottony, wool, woolen, woollen, woolly, wooly, fleece, fur, furry, faux fur, fur lined, suede, silk, silky,
        satin, velvet, velour, corduroy, linen, lace, lacy, mesh, nylon, polyester, canvas, plastic, straw, metal, wooden,
        rubber, tweed, chiffon, cashmere, spandex, lycra, down filled, waterproof, water proof, fuzzy, fluffy, fabric, cloth,
        cardboard, foam, feather, feathered, sequined, sequinned, studded, beaded, sheepskin, shearling, thermal,

        casual, formal, sporty, sports, sport, athletic, running, jogging, track, tennis, basketball, baseball, football, soccer,
        golf, gym, yoga, hiking, training, cycling, biker, motorcycle, cargo, combat, military, work, business, school,
        winter, summer, fall, rain, bomber, varsity, letterman, safari, cowboy, western, chelsea, ballet, bucket,
        trucker, flat, snapback, stylish, fashionable, trendy, modern, traditional, vintage, elegant, fancy, simple, basic,
        designer, branded, converse, nike, adidas, puma, vans, chuck taylor, gladiator, evening, cocktail, traffic, safety,
        clean, dirty, worn, worn out, new, used, wrinkled, crumpled, folded, thick, thin, heavy, light weight, big, large,
        small, little, tiny, huge, medium sized, large sized, small sized, mid sized, wide, narrow, broad, round, square, rectangular, oval,
        circular, triangular, cylindrical, boxy, soft, hard, empty, stuffed, bulky, wheeled, rolling, portable,

        curly, wavy, straight, frizzy, messy, shaggy, blunt, tousled, unkempt, spiky, spiked, sleek, neat, bushy, braided, plaited, permed, parted, slicked back,
        tied, tied back, tied up, pulled back, pulled up, put up, pinned up, swept, swept back, side swept, shaved, shaven, buzzed,
        trimmed short, cut short, closely cropped, close cropped, receding, thinning, highlighted, streaked, shoulder, cross body, crossbody,
        over the shoulder, sling, messenger, drawstring, duffel, duffle, tote, shopping, grocery, carrier, travel, computer,
        diaper, cell, mobile, smart, hand held, handheld, thick rimmed, black rimmed, rimmed, framed, rimless, wire,
        oversize, t, multi, semi, style, stonewashed, stone washed, acid washed, light washed, dark washed, pin striped, zig zag, zigzag
        """;

    private const string PersonModifiers = """
        young, younger, old, older, elderly, middle aged, teenage, teenaged, youthful, slim, slender, skinny, fat, chubby,
        plump, stout, stocky, heavyset, heavy set, overweight, obese, muscular, tall, petite, well built, strong,
        average height, medium height, medium build, slim build, average build, asian, caucasian, african, african american, indian, chinese,
        hispanic, european, dark skinned, light skinned, fair skinned, pale skinned, brown skinned, black skinned, tanned, pregnant, bespectacled
        """;

    private const string HairModifiers = """
        bald, balding, bald headed, blonde, blond, blondish, brunette, ginger, red headed, redheaded, bearded, unshaven, clean shaven,
        hairless, mustached, moustached
        """;

    private const string Persons = """
        man, men, woman, women, boy, girl, lady, gentleman, gentlemen, guy, male, female, child, children, kid, person, persons, people,
        pedestrian, teenager, teen, adult, toddler, baby, infant, student, schoolboy, schoolgirl, youth, youngster, senior, gent, fellow, dude,
        individual, grandmother, grandfather, mother, father, mom, dad, son, daughter, tourist, shopper, worker, businessman, businesswoman,
        police officer, policeman, policewoman, officer, guard, soldier, cyclist, jogger, runner, hiker, waiter, waitress,
        early twenties, late twenties, twenties, thirties, forties, fifties, sixties, seventies, 20s, 30s, 40s, 50s, 60s, 70s
        """;

    private const string Hairs = """
        hair, haired, hairs, hairstyle, haircut, hairdo, hair cut, hair style, ponytail, pony tail, pigtail, pig tail, bun, man bun, top knot,
        topknot, braid, plait, bang, bangs, fringe, afro, dreadlock, dreads, cornrow, beard, mustache, moustache, goatee, sideburn, stubble,
        facial hair, bob, bob cut, mohawk, crew cut, crewcut, buzz cut, buzzcut, pixie cut, hairline, curls, ringlet, mullet, quiff, highlights,
        comb over, side part
        """;

    private const string Headwears = """
        hat, cap, baseball cap, beanie, helmet, headscarf, head scarf, headwrap, hijab, headband, head band, visor, turban, bandana, bandanna,
        beret, bonnet, veil, fedora, top hat, sunhat, sun hat, headgear, headdress, hard hat, hardhat, balaclava, skullcap, skull cap, hair band,
        hairband, hair clip, hairclip, hair tie, scrunchie, burqa, niqab, earmuffs, ear muffs, crown, tiara, sombrero, bucket hat, kerchief
        """;

    private const string Uppers = """
        shirt, t shirt, tshirt, tee, top, blouse, jacket, coat, overcoat, raincoat, rain coat, trench coat, trenchcoat, peacoat, pea coat, parka,
        anorak, windbreaker, wind breaker, hoodie, hoody, hoodies, sweatshirt, sweat shirt, sweater, jumper, pullover, pull over, cardigan, vest,
        waistcoat, blazer, tank, tank top, tanktop, singlet, camisole, tunic, polo, turtleneck, turtle neck, polo neck, v neck top, undershirt,
        under shirt, jersey, poncho, cape, cloak, shawl, windcheater, sport coat, sportcoat, down jacket, down coat, down vest, puffer, puffa,
        gilet, halter, halter top, tube top, crop top, bra, sports bra, bustier, corset, topcoat, outerwear, tuxedo jacket, kimono, bolero,
        sleeve, shirtsleeve, collar, hood, neckline, lapel, cuff, apron, bib, life jacket, long sleeve, short sleeve, upper garment, fleece jacket,
        button down shirt, bathrobe, kurta, smock, sweatervest, sweater vest
        """;

    private const string Lowers = """
        trouser, trousers, pant, pants, jean, jeans, bluejeans, short pants, shorts, skirt, miniskirt, mini skirt, legging, jegging, tights,
        pantyhose, stocking, nylons, slacks, khakis, chinos, chino, capri, capris, capri pants, sweatpants, sweat pants, sweats, joggers,
        track pants, trackpants, trackies, culottes, bermudas, bermuda shorts, cargo pants, cargos, corduroys, cords, dungarees, denims, skort,
        bloomers, yoga pants, underpants, breeches, knickers, bottoms, trunks, sarong, kilt, hot pants, pedal pushers, bell bottoms, palazzos
        """;

    private const string FullBodies = """
        dress, sundress, sun dress, gown, suit, tracksuit, track suit, jumpsuit, jump suit, romper, overalls, uniform, outfit, clothes,
        clothing, attire, robe, costume, garment, pantsuit, pant suit, business suit, swimsuit, bikini, pajamas, pyjamas, onesie, coverall,
        bodysuit, leotard, wetsuit, sari, saree, abaya, cheongsam, qipao, scrubs, tuxedo, ensemble, apparel, nightgown, playsuit, one piece, kaftan
        """;

    private const string Footwears = """
        shoe, sneaker, trainer, trainers, boot, sandal, flip flop, flipflop, slipper, loafer, heel, heels, high heels, pump, flats, ballet flats, slip ons,
        sock, footwear, moccasin, oxfords, brogue, clog, espadrille, crocs, wedges, stilettos, stiletto, cleats, mules, high tops, hightops, low tops,
        rain boots, wellies, wellington, booties, bootie, tennies, plimsolls, ugg, uggs, thong sandals, mary janes, ankle boots,
        creepers, galoshes, leg warmer, legwarmer, ankle sock, knee socks
        """;

    private const string Carried = """
        backpack, back pack, rucksack, knapsack, bookbag, book bag, bag, handbag, hand bag, purse, satchel, suitcase, suit case, briefcase, brief case,
        luggage, baggage, umbrella, parasol, phone, cellphone, smartphone, telephone, ipad, tablet, camera, laptop, notebook, book, paper, newspaper,
        magazine, document, folder, binder, file, envelope, map, pamphlet, leaflet, poster, pouch, fanny pack, waist pack, waist bag, bum bag, wallet, clutch, tote bag,
        gym bag, duffel bag, duffle, tote, shopping bag, plastic bag, basket, cart, shopping cart, trolley, stroller, pram, pushchair, baby stroller, baby carriage,
        wheelchair, walker, cane, walking stick, crutch, bicycle, bike, scooter, skateboard, motorbike, moped, segway, skates, coffee, drink, soda, water, food,
        ice cream, snack, sandwich, cigarette, flower, bouquet, balloon, toy, teddy bear, doll, ball, racket, racquet, bat, guitar, violin, instrument,
        key, keys, broom, mop, bucket, tray, towel, blanket, jug, thermos, tumbler, water bottle, flask, parcel, gift, carton, sack, pack, grocery bag,
        groceries, string bag, dog, leash, flag, belongings, camcorder, tripod, clipboard, selfie stick, lunchbox, lunch box, cooler
        """;

    private const string Containers = """
        sheet, piece, bottle, cup, box, stack, bunch, bundle, mug, glass, pile, roll
        """;

    private const string Accessories = """
        glasses, eyeglasses, eye glasses, sunglasses, sun glasses, shades, spectacles, specs, goggles, eyewear, scarf, scarves, muffler, neckerchief,
        glove, mitten, belt, tie, necktie, bow tie, bowtie, watch, wristwatch, wrist watch, bracelet, bangle, necklace, pendant, earring,
        ear ring, piercing, jewelry, jewellery, mask, face mask, facemask, headphone, headphones, headset, earphone, earbud, ear bud, airpods, lanyard, badge,
        id card, name tag, wristband, armband, arm band, sash, suspenders, braces, tattoo, neck pillow, brooch, anklet, walkie talkie,
        hearing aid, knee pads, elbow pads, respirator, stole, bow, ribbon
        """;

    // Details take the kind of the garment before them.
    private const string Details = """
        stripe, logo, print, pattern, design, lettering, letters, writing, graphics, emblem, polka dots, dots, spots, flowers, checks,
        trim, trimming, lining, embroidery, ruffles, frills, sequins, pinstripes, plaids, patch, patches, insignia, buttons, zipper, piping,
        markings, accents, numbers, slogan, diamonds, symbols, decoration, edging, hem, fringes, tassels, rip, tear
        """;

    private const string HairParts = "head, scalp, strands, locks, ends, roots, streaks, eyebrow, eyebrows";
    private const string PersonParts = "skin, complexion, build, physique, figure, body type";
    private const string LowerParts = "bottom, waistband, pant leg, pant legs";
    private const string ShoeParts = "sole, soles, lace, laces, shoelace, shoelaces, toe, toes";
    private const string CarriedParts = "object, item, thing, case, cover";
    private const string AccessoryParts = "frame, rim, lens, lenses";
    private const string DetailParts = "pocket, strap, straps, panel, panels, patchwork, section, sections, shape, block, blocks, shoulders, buckle, handle, handles";

    private static readonly FrozenDictionary<string, WordEntry> Entries = Build();

    // First words of entries of several words, so that a single look-up tells whether a longer one is worth trying.
    private static readonly FrozenSet<string> Starters = Entries.Keys.Where(k => k.Contains(' '))
        .Select(k => k[..k.IndexOf(' ')]).ToFrozenSet(StringComparer.Ordinal);

    /// <summary>How many words an entry has at most.</summary>
    public const int LongestEntry = 3;

    /// <summary>Number of entries, plurals included.</summary>
    public static int Size => Entries.Count;

    /// <summary>Looks a lower-case word, or several joined by blanks, up.</summary>
    public static bool TryGet(string words, out WordEntry entry) => Entries.TryGetValue(words, out entry);

    /// <summary>Whether an entry of several words begins with this word.</summary>
    public static bool Starts(string word) => Starters.Contains(word);

    private static FrozenDictionary<string, WordEntry> Build()
    {
        var entries = new Dictionary<string, WordEntry>(StringComparer.Ordinal);
        // The first list that names a word decides: nouns stand before modifiers, colours before other modifiers.
        Nouns(WordRole.Noun, AttributeKind.Person, Persons);
        Nouns(WordRole.Noun, AttributeKind.Hair, Hairs);
        Nouns(WordRole.Noun, AttributeKind.Headwear, Headwears);
        Nouns(WordRole.Noun, AttributeKind.Upper, Uppers);
        Nouns(WordRole.Noun, AttributeKind.Lower, Lowers);
        Nouns(WordRole.Noun, AttributeKind.FullBody, FullBodies);
        Nouns(WordRole.Noun, AttributeKind.Shoes, Footwears);
        Nouns(WordRole.Noun, AttributeKind.Accessory, Accessories);
        Nouns(WordRole.Container, AttributeKind.Belongings, Containers);
        Nouns(WordRole.Noun, AttributeKind.Belongings, Carried);
        Nouns(WordRole.Noun, null, Details);
        Nouns(WordRole.Part, AttributeKind.Hair, HairParts);
        Nouns(WordRole.Part, AttributeKind.Person, PersonParts);
        Nouns(WordRole.Part, AttributeKind.Lower, LowerParts);
        Nouns(WordRole.Part, AttributeKind.Shoes, ShoeParts);
        Nouns(WordRole.Part, AttributeKind.Belongings, CarriedParts);
        Nouns(WordRole.Part, AttributeKind.Accessory, AccessoryParts);
        Nouns(WordRole.Part, null, DetailParts);
        Words(WordRole.HairModifier, AttributeKind.Hair, HairModifiers);
        Words(WordRole.PersonModifier, AttributeKind.Person, PersonModifiers);
        Words(WordRole.Colour, null, Colours);
        Words(WordRole.Degree, null, Degrees);
        Words(WordRole.Modifier, null, Modifiers);
        return entries.ToFrozenDictionary(StringComparer.Ordinal);

        void Words(WordRole role, AttributeKind? kind, string list)
        {
            foreach (var word in Items(list)) entries.TryAdd(word, new WordEntry(role, kind));
        }

        void Nouns(WordRole role, AttributeKind? kind, string list)
        {
            Words(role, kind, list);
            foreach (var word in Items(list)) entries.TryAdd(Plural(word), new WordEntry(role, kind));
        }
    }

    private static string[] Items(string list) =>
        list.Split([',', '\n', '\r'], StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    private static string Plural(string word)
    {
        if (word.EndsWith("ss", StringComparison.Ordinal) || word.EndsWith("sh", StringComparison.Ordinal)
            || word.EndsWith("ch", StringComparison.Ordinal) || word.EndsWith('x')) return word + "es";
        if (word.EndsWith('s')) return word;
        if (word.EndsWith('y') && word.Length > 1 && !"aeiou".Contains(word[^2])) return word[..^1] + "ies";
        return word + "s";
    }
}
