/** Genuine quotes, read where they are if they are beside the checkout; without them, the seeds made by code must do. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const FOLDER = resolve(import.meta.dirname, "../../../../shared/data/tpm-quotes");

/** One device's structures. */
export interface GenuineCase {
  readonly akPublic: Uint8Array;
  readonly quotes: readonly { readonly quoted: Uint8Array; readonly signature: Uint8Array }[];
  readonly creation:
    | { readonly data: Uint8Array; readonly attest: Uint8Array; readonly signature: Uint8Array }
    | undefined;
}

interface Stored {
  readonly akPublicTpmt: string;
  readonly createData?: string;
  readonly createAttestation?: string;
  readonly createSignature?: string;
  readonly quotes: readonly { readonly quote: string; readonly signature: string }[];
}

/** All cases; none where the folder is missing. */
export const GENUINE: readonly GenuineCase[] = !existsSync(FOLDER)
  ? []
  : readdirSync(FOLDER)
      .filter((name) => name.endsWith(".json"))
      .sort()
      .map((name) => read(JSON.parse(readFileSync(join(FOLDER, name), "utf8")) as Stored));

function read({ akPublicTpmt, createData, createAttestation, createSignature, quotes }: Stored): GenuineCase {
  const hasCreation = createData !== undefined && createAttestation !== undefined && createSignature !== undefined;
  return {
    akPublic: bytes(akPublicTpmt),
    quotes: quotes.map(({ quote, signature }) => ({ quoted: bytes(quote), signature: bytes(signature) })),
    creation: hasCreation
      ? { data: bytes(createData), attest: bytes(createAttestation), signature: bytes(createSignature) }
      : undefined,
  };
}

function bytes(base64: string): Uint8Array {
  return new Uint8Array(Buffer.from(base64, "base64"));
}
