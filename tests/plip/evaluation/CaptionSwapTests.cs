using Plip.Evaluation;
using Xunit;

namespace Plip.Tests.Evaluation;

public class CaptionSwapTests
{
    [Theory]
    [InlineData("A man in a dark blue jacket and black jeans.", "A man in a red jacket and black jeans.")]
    [InlineData("Blue jeans and an orange top are worn by the woman.", "Blue jeans and a red top are worn by the woman.")]
    [InlineData("A man in a red and blue puffer jacket with white sneakers.", "A man in a red puffer jacket with white sneakers.")]
    [InlineData("She wears a black, white and grey striped sweater.", "She wears a red striped sweater.")]
    [InlineData("A black man with brown hair in a light grey t-shirt.", "A black man with brown hair in a red t-shirt.")]
    [InlineData("A woman wears grey shoes and a navy blue skirt.", "A woman wears grey shoes and a red skirt.")]
    [InlineData("White shoes, no more.", "Red shoes, no more.")]
    [InlineData("A man wears a dark jacket over a green shirt.", "A man wears a red jacket over a green shirt.")]
    [InlineData("A girl in a yellow dress and a hat.", "A girl in a red dress and a hat.")]
    public void The_largest_coloured_garment_turns_red(string caption, string expected) =>
        Assert.Equal(expected, CaptionSwap.Replace(caption, Assert.IsType<SwapSite>(CaptionSwap.Find(caption)), "red"));

    [Theory]
    [InlineData("A man with black hair walks.")]
    [InlineData("A person holds a white paper.")]
    [InlineData("A tall woman in a long coat.")]
    [InlineData("")]
    public void Where_no_garment_has_a_colour_there_is_no_swap(string caption)
    {
        Assert.Null(CaptionSwap.Find(caption));
        Assert.Empty(CaptionSwap.AllColours(caption));
    }

    [Fact]
    public void A_part_can_be_asked_for_and_articles_follow()
    {
        const string caption = "A man in a black coat and a brown skirt.";
        var site = CaptionSwap.Find(caption, BodyPart.Lower)!;
        Assert.Equal(("brown", "brown", "skirt", BodyPart.Lower), (site.Words, site.Basic, site.Garment, site.Part));
        Assert.Equal("A man in a black coat and an orange skirt.", CaptionSwap.Replace(caption, site, "orange"));
        Assert.Null(CaptionSwap.Find(caption, BodyPart.Feet));
    }

    [Fact]
    public void All_seven_colours_of_the_figure_are_given()
    {
        var all = CaptionSwap.AllColours("The woman wears a navy coat.");
        Assert.Equal(["red", "blue", "green", "yellow", "black", "white", "pink"], all.Select(s => s.Colour.Name));
        Assert.All(all, s => Assert.Equal($"The woman wears a {s.Colour.Name} coat.", s.Caption));
    }

    [Fact]
    public void A_site_of_another_caption_is_refused() =>
        Assert.Throws<ArgumentException>(() => CaptionSwap.Replace("A man.", CaptionSwap.Find("A red coat.")!, "blue"));

    [Fact]
    public void Colours_go_to_the_garment_of_their_clause()
    {
        var read = CaptionColours.Read("The man wears a jacket that is red at the shoulders and dark blue below, dark pants and white trainers. He has brown hair.");
        Assert.Equal(
            [("red", "jacket", BodyPart.Upper), ("blue", "jacket", BodyPart.Upper), ("", "pants", BodyPart.Lower), ("white", "trainers", BodyPart.Feet), ("brown", "hair", BodyPart.Head)],
            read.Select(m => (m.Basic, m.Garment, m.Part)));
    }

    [Fact]
    public void A_colour_without_a_garment_covers_the_body()
    {
        var mention = Assert.Single(CaptionColours.Read("A man dressed all in black."));
        Assert.Equal(("black", "", BodyPart.Body), (mention.Basic, mention.Garment, mention.Part));
    }
}
