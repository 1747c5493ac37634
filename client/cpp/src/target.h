// How a list of addresses becomes what gRPC calls a target.
#pragma once

#include <string>
#include <vector>

namespace standpipe {

/// One target for all addresses, as Client documents it.
///
/// @throws std::invalid_argument As Client documents it.
std::string Target(const std::vector<std::string>& addresses);

}  // namespace standpipe
