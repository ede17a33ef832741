/** Prints and writes what `FetchX509SVID` returned, as SPIRE does. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { X509SVID, X509SVIDResponse } from "../../gen/workload/workload.ts";
import { visible } from "../../lib/visible.ts";
import { parseCertificate, splitCertificates } from "../../pki/certificate.ts";
import { pemEncode } from "../../pki/pem.ts";
import type { CliContext } from "../command.ts";
import { replaceFile } from "../replace-file.ts";
import { goTime } from "../wire.ts";

/** The SVIDs of a response with how long it took. */
export function x509Text(response: X509SVIDResponse, elapsedMs: number): string {
  const count = response.svids.length;
  const federated = Object.entries(response.federatedBundles).map(([trustDomain, bundle]) =>
    authorityText(`[${trustDomain}] `, bundle),
  );
  const svids = response.svids.map((svid) => `\n${svidText(svid)}${federated.join("")}`);
  return `Received ${count} ${count === 1 ? "svid" : "svids"} after ${durationText(elapsedMs)}\n${svids.join("")}\n`;
}

function svidText(svid: X509SVID): string {
  const [leaf, ...intermediates] = splitCertificates(svid.x509Svid).map(parseCertificate);
  const lines = [`SPIFFE ID:\t\t${svid.spiffeId}`];
  if (svid.hint !== "") lines.push(`Hint:\t\t\t${visible(svid.hint)}`);
  if (leaf !== undefined) {
    lines.push(`SVID Valid After:\t${goTime(leaf.notBefore)}`, `SVID Valid Until:\t${goTime(leaf.notAfter)}`);
  }
  for (const [index, certificate] of intermediates.entries()) {
    lines.push(
      `Intermediate #${index + 1} Valid After:\t${goTime(certificate.notBefore)}`,
      `Intermediate #${index + 1} Valid Until:\t${goTime(certificate.notAfter)}`,
    );
  }
  return `${lines.join("\n")}\n${authorityText("", svid.bundle)}`;
}

function authorityText(prefix: string, bundle: Uint8Array): string {
  return splitCertificates(bundle)
    .map(parseCertificate)
    .map(
      (certificate, index) =>
        `${prefix}CA #${index + 1} Valid After:\t${goTime(certificate.notBefore)}\n${prefix}CA #${index + 1} Valid Until:\t${goTime(certificate.notAfter)}\n`,
    )
    .join("");
}

/** Milliseconds as Go prints a duration: `12.345ms`, `1.5s`. */
function durationText(ms: number): string {
  const trim = (value: number, digits: number): string => value.toFixed(digits).replace(/\.?0+$/, "");
  return ms < 1000 ? `${trim(ms, 6)}ms` : `${trim(ms / 1000, 9)}s`;
}

/** Writes the files of a response into a folder, keys readable by their owner only, each replaced in one step. */
export function writeX509(response: X509SVIDResponse, folder: string, context: CliContext): void {
  mkdirSync(folder, { recursive: true });
  const write = (what: string, name: string, content: string, mode: number): void => {
    const path = join(folder, name);
    context.out(`Writing ${what} to file ${path}.\n`);
    replaceFile(path, content, mode);
  };
  for (const [index, svid] of response.svids.entries()) {
    write(`SVID #${index}`, `svid.${index}.pem`, certificatesPem(svid.x509Svid), 0o644);
    write(`key #${index}`, `svid.${index}.key`, pemEncode("PRIVATE KEY", svid.x509SvidKey), 0o600);
    write(`bundle #${index}`, `bundle.${index}.pem`, certificatesPem(svid.bundle), 0o644);
    for (const [number, [trustDomain, bundle]] of Object.entries(response.federatedBundles).entries()) {
      write(
        `federated bundle #${number} for trust domain ${trustDomain}`,
        `federated_bundle.${index}.${number}.pem`,
        certificatesPem(bundle),
        0o644,
      );
    }
  }
}

function certificatesPem(der: Uint8Array): string {
  return splitCertificates(der)
    .map((certificate) => pemEncode("CERTIFICATE", certificate))
    .join("");
}
