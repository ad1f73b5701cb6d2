Console.WriteLine("plip");
