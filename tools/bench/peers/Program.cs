using Plip.Bench;
using Plip.Bench.Peers;

var peers = new PeerRegistry();
LibTorch.Register(peers);
OnnxCases.Register(peers);
return BenchCommand.Run(args, peers);
