namespace Plip.Evaluation;

/// <summary>
/// A run of consecutive gallery rows: embeddings (rows, dim) in row-major order, and the identity of each row.
/// How the gallery is cut into chunks never changes a result; a chunk only says how much is in memory at once.
/// </summary>
/// <param name="Embeddings">rows × dim floats; they need not be normalised.</param>
/// <param name="Ids">One identity per row.</param>
/// <param name="Cameras">One camera per row, where <see cref="RetrievalOptions.QueryCameras"/> are given; otherwise not looked at.</param>
public readonly record struct GalleryChunk(ReadOnlyMemory<float> Embeddings, ReadOnlyMemory<int> Ids, ReadOnlyMemory<int> Cameras = default);
