import io.spiffe.bundle.jwtbundle.JwtBundleSet;
import io.spiffe.svid.jwtsvid.JwtSvid;
import io.spiffe.svid.x509svid.X509SvidValidator;
import io.spiffe.workloadapi.DefaultWorkloadApiClient;
import io.spiffe.workloadapi.Watcher;
import io.spiffe.workloadapi.WorkloadApiClient;
import io.spiffe.workloadapi.X509Context;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

/** Prints this process's identities, and prints them again whenever they change. */
public final class Client {
    interface Printer<T> {
        void print(T update) throws Exception;
    }

    public static void main(String[] args) throws Exception {
        var failure = new CompletableFuture<Void>();
        // Finds the socket in SPIFFE_ENDPOINT_SOCKET. Where nobody has to hear of a change, DefaultX509Source and
        // DefaultJwtSource keep the newest for whoever asks.
        try (var client = DefaultWorkloadApiClient.newClient()) {
            client.watchX509Context(watcher(Client::printX509, failure));
            client.watchJwtBundles(watcher(bundles -> printJwt(client, bundles), failure));
            failure.get();
        }
    }

    static void printX509(X509Context context) throws Exception {
        var svid = context.getDefaultSvid();
        var bundle = context.getX509BundleSet().getBundleForTrustDomain(svid.getSpiffeId().getTrustDomain());
        // What a peer does with the certificates; java-spiffe-provider does it in TLS.
        X509SvidValidator.verifyChain(svid.getChain(), context.getX509BundleSet());
        System.out.printf("x509 %s serial %x roots %d%n",
                svid.getSpiffeId(), svid.getLeaf().getSerialNumber(), bundle.getX509Authorities().size());
    }

    static void printJwt(WorkloadApiClient client, JwtBundleSet bundles) throws Exception {
        var svid = client.fetchJwtSvid("db");
        // What a service does with a token that it is shown: by the keys it has, or by the agent.
        JwtSvid.parseAndValidate(svid.getToken(), bundles, Set.of("db"));
        var valid = client.validateJwtSvid(svid.getToken(), "db");
        var bundle = bundles.getBundleForTrustDomain(valid.getSpiffeId().getTrustDomain());
        System.out.printf("jwt %s keys %d%n", valid.getSpiffeId(), bundle.getJwtAuthorities().size());
    }

    static <T> Watcher<T> watcher(Printer<T> printer, CompletableFuture<Void> failure) {
        return new Watcher<>() {
            @Override
            public void onUpdate(T update) {
                try {
                    printer.print(update);
                } catch (Exception error) {
                    failure.completeExceptionally(error);
                }
            }

            @Override
            public void onError(Throwable error) {
                failure.completeExceptionally(error);
            }
        };
    }
}
