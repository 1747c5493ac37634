# frozen_string_literal: true

require "socket"

module Standpipe
  # How a list of addresses becomes what gRPC calls a target.
  module Target
    # A target of gRPC's that holds several addresses holds those of one family only.
    FAMILIES = { INET: "ipv4:", INET6: "ipv6:" }.freeze
    ADDRESS = /\A(?:\[(?<ipv6>[^\]]+)\]|(?<name>[^:\[\]]+)):(?<port>\d+)\z/

    # One target for all addresses, as Client.new documents it.
    def self.of(addresses)
      raise ArgumentError, "no addresses: give at least one host:port" if addresses.empty?
      return addresses.first if addresses.one?

      parsed = addresses.map { |address| parse(address) }
      FAMILIES.each do |family, scheme|
        found = parsed.map { |host, port| resolve(host, port, family) }
        return scheme + found.flatten.join(",") if found.none?(&:empty?)
      end
      raise ArgumentError, "no common IPv4 or IPv6 addresses found for #{addresses.join(', ')}"
    end

    def self.parse(address)
      match = ADDRESS.match(address) or
        raise ArgumentError, "#{address.inspect} isn't host:port (IPv6 stands in brackets)"
      [match[:ipv6] || match[:name], match[:port]]
    end

    # All of a host's addresses in one family; none where it has none.
    def self.resolve(host, port, family)
      Addrinfo.getaddrinfo(host, port, family, :STREAM).map(&:inspect_sockaddr)
    rescue SocketError
      []
    end

    private_class_method :parse, :resolve
  end
  private_constant :Target
end
