using Plip.Text;
using Xunit;

namespace Plip.Tests.Text;

public sealed class AttributePhrasesTests
{
    /// <summary>Captions in many styles, with the phrases a reader would mark: "Kind: phrase" joined by "; ".</summary>
    public static TheoryData<string, string> Captions { get; } = new()
    {
        // as our own world and pets10 write
        { "The man has short brown hair and wears a dark jacket over a black top with blue denim jeans.",
          "Person: man; Hair: short brown hair; Upper: dark jacket; Upper: black top; Lower: blue denim jeans" },
        { "A slim man in a black zip-up jacket and faded blue jeans, walking in grey trainers.",
          "Person: slim man; Upper: black zip-up jacket; Lower: faded blue jeans; Shoes: grey trainers" },
        { "A dark haired man in a plain black overcoat and black trousers, hands in his pockets.",
          "Hair: dark haired; Person: man; Upper: plain black overcoat; Lower: black trousers" },
        { "A middle-aged balding man in a dark jacket with blue denim jeans and dark shoes.",
          "Person: middle-aged; Hair: balding; Person: man; Upper: dark jacket; Lower: blue denim jeans; Shoes: dark shoes" },
        { "The man is dressed all in black, with a knee length coat and black pants.",
          "Person: man; FullBody: black; Upper: knee length coat; Lower: black pants" },
        { "The man wears a jacket that is red at the shoulders and dark blue below, dark pants and white trainers.",
          "Person: man; Upper: jacket that is red; Other: dark blue; Lower: dark pants; Shoes: white trainers" },
        { "A man in a black leather jacket and black pants carries a folded sheet of paper in his hand.",
          "Person: man; Upper: black leather jacket; Lower: black pants; Belongings: folded sheet of paper" },
        { "The woman has fluffy light coloured hair and wears a long black coat over blue jeans with brown shoes.",
          "Person: woman; Hair: fluffy light coloured hair; Upper: long black coat; Lower: blue jeans; Shoes: brown shoes" },
        { "The man with very little hair wears a black zipped jacket and blue jeans with black shoes.",
          "Person: man; Hair: very little hair; Upper: black zipped jacket; Lower: blue jeans; Shoes: black shoes" },
        { "A dark-skinned man with very short black hair is wearing a navy blue quilted jacket and light blue jeans.",
          "Person: dark-skinned man; Hair: very short black hair; Upper: navy blue quilted jacket; Lower: light blue jeans" },
        { "The woman wears a bright red short coat with dark blue jeans and has long dark hair.",
          "Person: woman; Upper: bright red short coat; Lower: dark blue jeans; Hair: long dark hair" },
        { "The pedestrian wears a white beanie, a pale blue padded coat and flared blue jeans with a dark shoulder bag.",
          "Person: pedestrian; Headwear: white beanie; Upper: pale blue padded coat; Lower: flared blue jeans; Belongings: dark shoulder bag" },
        { "With a grey messenger bag on her shoulder, the young woman with no hair wears a navy and white striped blouse and shorts.",
          "Belongings: grey messenger bag; Person: young woman; Hair: no hair; Upper: navy and white striped blouse; Lower: shorts" },
        { "A woolly hat and dark grey slacks are worn by the gentleman with a bald head.",
          "Headwear: woolly hat; Lower: dark grey slacks; Person: gentleman; Hair: bald head" },

        // CUHK-PEDES style
        { "A passer-by, a pedestrian with fair hair, wears green and white shoes, a grey hooded sweatshirt, and tan pants.",
          "Person: pedestrian; Hair: fair hair; Shoes: green and white shoes; Upper: grey hooded sweatshirt; Lower: tan pants" },
        { "A man in his late 30s with salt-and-pepper hair, a loose, halter-neck top and a 3/4 sleeve coat with vertical stripes that are white and blue.",
          "Person: man; Person: 30s; Hair: salt-and-pepper hair; Upper: loose, halter-neck top; Upper: 3/4 sleeve coat; Upper: vertical stripes that are white and blue" },
        { "The person has short black hair and is wearing a black and white striped long-sleeved t-shirt.",
          "Person: person; Hair: short black hair; Upper: black and white striped long-sleeved t-shirt" },
        { "He is carrying a large red backpack on his back.", "Belongings: large red backpack" },
        { "Her hair is long and black.", "Hair: hair is long and black" },
        { "The man is bald and wears jeans that are dark blue.", "Person: man; Hair: bald; Lower: jeans that are dark blue" },
        { "The man wears black shoes and socks, and he has glasses on.", "Person: man; Shoes: black shoes; Shoes: socks; Accessory: glasses" },
        { "A woman in a knee-length floral dress is looking at her cell phone while holding a bottle of water.",
          "Person: woman; FullBody: knee-length floral dress; Belongings: cell phone; Belongings: bottle of water" },
        { "The girl's hair is tied back in a ponytail; she wears a pink tank top with white polka dots.",
          "Person: girl; Hair: hair is tied back; Hair: ponytail; Upper: pink tank top; Upper: white polka dots" },
        { "A MAN WEARING A GRAY T SHIRT, A PAIR OF KHAKI SHORTS AND A PAIR OF WHITE TENNIS SHOES.",
          "Person: MAN; Upper: GRAY T SHIRT; Lower: KHAKI SHORTS; Shoes: WHITE TENNIS SHOES" },
        { "this man has on a blue/white plaid button-down shirt,brown belt and tan pants",
          "Person: man; Upper: blue/white plaid button-down shirt; Accessory: brown belt; Lower: tan pants" },
        { "The woman is wearing a black, long sleeved, knee length coat.", "Person: woman; Upper: black, long sleeved, knee length coat" },
        { "An elderly lady carrying a brown leather purse and a yellow umbrella.",
          "Person: elderly lady; Belongings: brown leather purse; Belongings: yellow umbrella" },
        { "The shirt is white with a black logo on the front, and his pants are black in color.",
          "Upper: shirt is white; Upper: black logo; Lower: pants are black in color" },
        { "He is wearing a pea-coat, a red-brimmed hat and flip-flops.", "Upper: pea-coat; Headwear: red-brimmed hat; Shoes: flip-flops" },
        { "A woman dressed in black, white shoes and a red scarf.",
          "Person: woman; FullBody: black; Shoes: white shoes; Accessory: red scarf" },
        { "A boy in a red, white and blue jersey rides a bicycle.",
          "Person: boy; Upper: red, white and blue jersey; Belongings: bicycle" },
        { "His jacket, which is dark green, covers a shirt and tie.", "Upper: jacket, which is dark green; Upper: shirt; Accessory: tie" },
        { "The man's shoes appear to be white.", "Person: man; Shoes: shoes appear to be white" },

        // ICFG-PEDES style
        { "A young woman with long straight black hair wearing a beige turtleneck sweater and blue skinny jeans. She is holding a white plastic bag in her right hand and wearing white sneakers with black soles.",
          "Person: young woman; Hair: long straight black hair; Upper: beige turtleneck sweater; Lower: blue skinny jeans; Belongings: white plastic bag; Shoes: white sneakers; Shoes: black soles" },
        { "A middle-aged man with short hair and a pair of black-framed glasses, wearing a dark grey down jacket with a fur collar.",
          "Person: middle-aged man; Hair: short hair; Accessory: black-framed glasses; Upper: dark grey down jacket; Upper: fur collar" },
        { "The man in his forties is wearing a dark suit jacket over a light blue collared shirt and black dress pants.",
          "Person: man; Person: forties; Upper: dark suit jacket; Upper: light blue collared shirt; Lower: black dress pants" },
        { "A child with a school bag on his back, wearing a blue tracksuit with white stripes down the sides.",
          "Person: child; Belongings: school bag; FullBody: blue tracksuit; FullBody: white stripes" },
        { "A short-haired lady pushes a baby stroller; she's in a purple down coat.",
          "Hair: short-haired; Person: lady; Belongings: baby stroller; Upper: purple down coat" },
        { "A bespectacled student with headphones and a skateboard.", "Person: bespectacled student; Accessory: headphones; Belongings: skateboard" },
        { "The man is tall and slim.", "Person: man; Person: tall and slim" },
        { "A man with a grey beard, a straw hat and a wooden walking stick",
          "Person: man; Hair: grey beard; Headwear: straw hat; Belongings: wooden walking stick" },
        { "Medium to long brown hair, ankle-length boots.", "Hair: Medium to long brown hair; Shoes: ankle-length boots" },
        { "She wears a dress\tthat is\nlight pink", "FullBody: dress\tthat is\nlight pink" },
        { "A woman in a café-style apron with crème trousers.", "Person: woman; Upper: café-style apron; Lower: trousers" },
        { "A m\u00e1n in blu\u0301e je\u200bans", "Person: m\u00e1n; Lower: blu\u0301e je\u200bans" },
        { "blonde, in a red bikini", "Hair: blonde; FullBody: red bikini" },

        // SYNTH-PEDES attributes and prompts
        { "man,black hair,black shirt,pink shorts,black shoes,unknown",
          "Person: man; Hair: black hair; Upper: black shirt; Lower: pink shorts; Shoes: black shoes" },
        { "A woman with long hair in a white top and black skirt carries a handbag and wears high heels.",
          "Person: woman; Hair: long hair; Upper: white top; Lower: black skirt; Belongings: handbag; Shoes: high heels" },

        { "A tourist with a camera looks at the camera.", "Person: tourist; Belongings: camera" },

        // none
        { "She is walking down the street.", "" },
        { "He stands at the top of the stairs, facing left.", "" },
        { "They are very far away from the camera's view and cannot be seen clearly", "" },
        { "Walking to the right with his head down and one hand raised.", "" },
        { "Sie geht nach Hause.", "" },
        { "!!! ... 123", "" },
        { "", "" },
    };

    [Theory, MemberData(nameof(Captions))]
    public void Finds_what_a_reader_would_mark(string caption, string expected)
    {
        var found = AttributePhrases.Find(caption).Select(p => $"{p.Kind}: {p.In(caption)}");
        Assert.Equal(expected, string.Join("; ", found));
    }

    [Theory]
    [InlineData("black and ")]
    [InlineData("very ")]
    [InlineData("black, ")]
    [InlineData("jeans that are black, ")]
    [InlineData("shirt is a white, ")]
    [InlineData("sheet of white ")]
    public void A_caption_of_hundreds_of_thousands_of_words_is_no_trap(string unit)
    {
        // Anything worse than linear would take minutes to hours here.
        var caption = string.Concat(Enumerable.Repeat(unit, 200_000)) + "red shoes";
        var found = AttributePhrases.Find(caption);
        Assert.EndsWith("red shoes", found[^1].In(caption));
        Assert.Equal(AttributeKind.Shoes, found[^1].Kind);
        Assert.All(found.Zip(found.Skip(1)), pair => Assert.True(pair.First.End <= pair.Second.Start));
    }

    [Fact]
    public void The_lexicon_has_several_hundred_words_and_entries_it_can_match()
    {
        Assert.InRange(AttributeLexicon.Size, 900, 4000);
        Assert.True(AttributeLexicon.TryGet("t shirts", out var shirts));
        Assert.Equal(AttributeKind.Upper, shirts.Kind);
        Assert.True(AttributeLexicon.TryGet("sunglasses", out var glasses));
        Assert.Equal(AttributeKind.Accessory, glasses.Kind);
    }
}
