// A captured step: work and the order it needs.
#pragma once
#include "streams.h"

namespace emu {

struct Node { Work work; std::vector<int> after; };

/// Appends work to a capture as a node after `after`; its number.
int add_node(Capture& capture, Work work, const std::vector<int>& after);

} // namespace emu

struct Graph { std::vector<emu::Node> nodes; };
struct GraphExec { std::shared_ptr<const std::vector<emu::Node>> nodes; };
