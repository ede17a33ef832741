//! Prints this process's identities, and prints them again whenever they change.
use spiffe::{BundleSource, JwtSource, WorkloadApiClient, X509Source};
use std::error::Error;
use x509_cert::{Certificate, der::Decode};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // All find the socket in SPIFFE_ENDPOINT_SOCKET; the sources are fresh from here on.
    let certificates = X509Source::new().await?;
    let tokens = JwtSource::new().await?;
    let client = WorkloadApiClient::connect_env().await?;
    let (mut certificates_changed, mut tokens_changed) = (certificates.updated(), tokens.updated());
    loop {
        print_x509(&certificates)?;
        print_jwt(&tokens, &client).await?;
        tokio::select! {
            changed = certificates_changed.changed() => { changed?; }
            changed = tokens_changed.changed() => { changed?; }
        }
    }
}

fn print_x509(source: &X509Source) -> Result<(), Box<dyn Error>> {
    let svid = source.svid()?;
    let bundle = source.bundle_for_trust_domain(svid.spiffe_id().trust_domain())?.ok_or("no bundle")?;
    let leaf = Certificate::from_der(svid.leaf().as_bytes())?;
    let serial = leaf.tbs_certificate().serial_number();
    println!("x509 {} serial {serial} roots {}", svid.spiffe_id(), bundle.authorities().len());
    Ok(())
}

async fn print_jwt(source: &JwtSource, client: &WorkloadApiClient) -> Result<(), Box<dyn Error>> {
    let svid = source.fetch_jwt_svid(["db"]).await?;
    // What a service does with a token that it is shown: the agent judges it. The crate does so itself with the
    // feature jwt-verify-rust-crypto or jwt-verify-aws-lc-rs.
    let valid = client.validate_jwt_token("db", svid.token()).await?;
    let bundle = source.bundle_for_trust_domain(valid.spiffe_id().trust_domain())?.ok_or("no bundle")?;
    println!("jwt {} keys {}", valid.spiffe_id(), bundle.jwt_authorities().count());
    Ok(())
}
