using System.CommandLine;
using System.CommandLine.Parsing;
using Plip.Tool;

return CommandLine.Run(args);
