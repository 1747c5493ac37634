package dev.standpipe;

import io.grpc.Attributes;
import io.grpc.EquivalentAddressGroup;
import io.grpc.NameResolver;
import io.grpc.NameResolverProvider;
import io.grpc.NameResolverRegistry;
import io.grpc.Status;
import io.grpc.SynchronizationContext;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.function.Consumer;

/** Finds the servers of a list of addresses; gRPC itself takes one name only. */
final class AddressList extends NameResolver {
    private static final String SCHEME = "standpipe";

    static {
        NameResolverRegistry.getDefaultRegistry().register(new Provider());
    }

    private final List<String> addresses;
    private final Executor lookUps;
    private final SynchronizationContext channel;
    private Listener listener;

    private AddressList(List<String> addresses, Args args) {
        this.addresses = addresses;
        this.lookUps = args.getOffloadExecutor();
        this.channel = args.getSynchronizationContext();
    }

    /**
     * Writes addresses as the target of a channel.
     *
     * @param addresses each as {@code host:port}
     * @throws IllegalArgumentException for no address, or one of another form
     */
    static String target(List<String> addresses) {
        if (addresses.isEmpty()) {
            throw new IllegalArgumentException("no address to connect to");
        }
        addresses.forEach(AddressList::parse);
        if (addresses.size() == 1) {
            // gRPC's own resolver also knows of proxies.
            return "dns:///" + addresses.get(0);
        }
        try {
            return new URI(SCHEME, null, "/" + String.join(",", addresses), null).toString();
        } catch (URISyntaxException error) {
            throw new IllegalArgumentException(error);
        }
    }

    @Override
    public String getServiceAuthority() {
        return addresses.get(0);
    }

    // Listener, not Listener2: how that takes addresses differs between versions of gRPC.
    @Override
    public void start(Listener listener) {
        this.listener = listener;
        refresh();
    }

    // Looking up blocks, so it may not be done in the channel's context; the outcome is taken only there.
    @Override
    public void refresh() {
        lookUps.execute(() -> {
            Consumer<Listener> outcome = resolve();
            channel.execute(() -> outcome.accept(listener));
        });
    }

    @Override
    public void shutdown() {}

    /** Looks all hosts up, and returns what to tell of it. One without addresses is passed by if another has some. */
    private Consumer<Listener> resolve() {
        List<EquivalentAddressGroup> found = new ArrayList<>();
        List<String> unknown = new ArrayList<>();
        for (String address : addresses) {
            try {
                found.addAll(lookUp(address));
            } catch (UnknownHostException error) {
                unknown.add(address);
            }
        }
        if (found.isEmpty()) {
            Status status = Status.UNAVAILABLE.withDescription("unknown hosts: " + String.join(", ", unknown));
            return told -> told.onError(status);
        }
        return told -> told.onAddresses(found, Attributes.EMPTY);
    }

    private static List<EquivalentAddressGroup> lookUp(String address) throws UnknownHostException {
        URI uri = parse(address);
        // Else TLS would look for the first host's name in every server's certificate.
        Attributes attributes = Attributes.newBuilder()
                .set(EquivalentAddressGroup.ATTR_AUTHORITY_OVERRIDE, address)
                .build();
        List<EquivalentAddressGroup> groups = new ArrayList<>();
        for (InetAddress host : InetAddress.getAllByName(uri.getHost())) {
            groups.add(new EquivalentAddressGroup(new InetSocketAddress(host, uri.getPort()), attributes));
        }
        return groups;
    }

    private static URI parse(String address) {
        try {
            URI uri = new URI("//" + address);
            if (uri.getPort() > 0 && address.equals(uri.getHost() + ":" + uri.getPort())) {
                return uri;
            }
        } catch (URISyntaxException error) {
            // Told below, in the words of the caller.
        }
        throw new IllegalArgumentException("not host:port: \"" + address + "\"");
    }

    private static final class Provider extends NameResolverProvider {
        @Override
        public NameResolver newNameResolver(URI target, Args args) {
            if (!SCHEME.equals(target.getScheme())) {
                return null;
            }
            return new AddressList(List.of(target.getPath().substring(1).split(",")), args);
        }

        @Override
        public String getDefaultScheme() {
            return SCHEME;
        }

        @Override
        protected boolean isAvailable() {
            return true;
        }

        // Below DNS (5): the highest one's scheme is that of all targets without a scheme.
        @Override
        protected int priority() {
            return 4;
        }
    }
}
