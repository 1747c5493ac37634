#include "target.h"

#include <netdb.h>
#include <sys/socket.h>

#include <memory>
#include <optional>
#include <stdexcept>

namespace standpipe {
namespace {

struct Address {
  std::string host;
  std::string port;
};

struct Family {
  int number;
  // The scheme of gRPC's targets: such a target holds several addresses, but of this family only.
  std::string scheme;
};

const Family kFamilies[] = {{AF_INET, "ipv4:"}, {AF_INET6, "ipv6:"}};

Address Parse(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size()) {
    throw std::invalid_argument("'" + text + "' isn't host:port");
  }
  Address address{text.substr(0, colon), text.substr(colon + 1)};
  const bool bracketed = address.host.front() == '[' && address.host.back() == ']';
  if (bracketed) address.host = address.host.substr(1, address.host.size() - 2);
  if (!bracketed && address.host.find(':') != std::string::npos) {
    throw std::invalid_argument("'" + text + "' isn't host:port: an IPv6 address stands in brackets");
  }
  return address;
}

// All of a host's addresses in one family as "a:port,b:port"; empty where it has none.
std::string Resolve(const Address& address, const Family& family) {
  addrinfo hints{};
  hints.ai_family = family.number;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found) != 0) return "";
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
  std::string joined;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (getnameinfo(one->ai_addr, one->ai_addrlen, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
      continue;
    }
    if (!joined.empty()) joined += ',';
    joined += family.number == AF_INET6 ? "[" + std::string(host) + "]:" + port : std::string(host) + ":" + port;
  }
  return joined;
}

// Nothing where an address has none in this family.
std::optional<std::string> TargetIn(const Family& family, const std::vector<Address>& addresses) {
  std::string target;
  for (const auto& address : addresses) {
    const std::string resolved = Resolve(address, family);
    if (resolved.empty()) return std::nullopt;
    target += (target.empty() ? family.scheme : ",") + resolved;
  }
  return target;
}

}  // namespace

std::string Target(const std::vector<std::string>& addresses) {
  if (addresses.empty()) throw std::invalid_argument("no addresses: give at least one host:port");
  if (addresses.size() == 1) return addresses.front();
  std::vector<Address> parsed;
  for (const auto& address : addresses) parsed.push_back(Parse(address));
  for (const auto& family : kFamilies) {
    if (auto target = TargetIn(family, parsed)) return *target;
  }
  std::string names;
  for (const auto& address : addresses) names += (names.empty() ? "" : ", ") + address;
  throw std::invalid_argument("no common IPv4 or IPv6 addresses found for " + names);
}

}  // namespace standpipe
