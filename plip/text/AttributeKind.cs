namespace Plip.Text;

/// <summary>What an attribute phrase speaks of. The first six follow SYNTH-PEDES' columns, with finer cuts where a caption gives them.</summary>
public enum AttributeKind
{
    /// <summary>Gender, age, build: "young man", "elderly".</summary>
    Person,

    /// <summary>Hair of head and face: "short brown hair", "bald", "grey beard".</summary>
    Hair,

    /// <summary>Hats, caps, helmets, headscarves.</summary>
    Headwear,

    /// <summary>The upper body: shirts, coats, and their sleeves and collars.</summary>
    Upper,

    /// <summary>The lower body: trousers, skirts, tights.</summary>
    Lower,

    /// <summary>Dresses, suits, uniforms, and "all black".</summary>
    FullBody,

    /// <summary>Shoes and socks.</summary>
    Shoes,

    /// <summary>What is carried, pushed or ridden.</summary>
    Belongings,

    /// <summary>Glasses, scarves, gloves, belts, jewellery.</summary>
    Accessory,

    /// <summary>A colour that stands by itself, as in "and dark blue below".</summary>
    Other,
}
