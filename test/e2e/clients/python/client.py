"""Prints this process's identities, and prints them again whenever they change."""
import threading

from spiffe import JwtSource, JwtSvid, WorkloadApiClient, X509Source


def print_x509(source: X509Source) -> None:
    context = source.get_x509_context()
    svid = context.default_svid
    bundle = source.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)
    print(f"x509 {svid.spiffe_id} serial {svid.leaf.serial_number:x} roots {len(bundle.x509_authorities)}", flush=True)


def print_jwt(source: JwtSource, client: WorkloadApiClient) -> None:
    svid = source.fetch_svid(audience={"db"})
    # What a service does with a token that it is shown: by the keys it has, or by the agent.
    bundle = source.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)
    JwtSvid.parse_and_validate(svid.token, bundle, {"db"})
    valid = client.validate_jwt_svid(svid.token, "db")
    print(f"jwt {valid.spiffe_id} keys {len(bundle.jwt_authorities)}", flush=True)


changed = threading.Event()
# All find the socket in SPIFFE_ENDPOINT_SOCKET; the sources are fresh from here on.
with X509Source() as certificates, JwtSource() as tokens, WorkloadApiClient() as client:
    certificates.subscribe_for_updates(changed.set)
    tokens.subscribe_for_updates(changed.set)
    while not certificates.is_closed() and not tokens.is_closed():
        changed.clear()
        print_x509(certificates)
        print_jwt(tokens, client)
        changed.wait()
