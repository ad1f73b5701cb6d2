using Plip.Bench;

return BenchCommand.Run(args, new PeerRegistry());
