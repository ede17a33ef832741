/** What the two kinds of discovery have in common: requests come in, and whenever something is new there is an answer. */
import type { Status } from "../../gen/google/rpc/status.ts";
import type { WorkloadUpdate } from "../ports.ts";
import type { SecretEncoder } from "./secret-encoder.ts";
import type { SdsNames } from "./secrets.ts";

/** How secrets are served: the `sds` block. */
export interface SdsOptions extends SdsNames {
  /** Whether nodes get authorities in place of the SPIFFE validator unless their metadata says otherwise. */
  readonly disableSpiffeCertValidation: boolean;
}

/** What conversations are made of. */
export interface ConversationDeps {
  readonly options: SdsOptions;
  readonly encoder: SecretEncoder;
  /** Eight new hexadecimal digits. */
  nonce(): string;
}

/** That a client could not use an answer. */
export interface Complaint {
  readonly names: readonly string[];
  /** What it says of it; absent when it only did not take the version. */
  readonly detail: Status | undefined;
}

/** The state of one stream. Pure: whoever holds it sends what it says. */
export interface Conversation {
  /** Takes a request. Throws `INVALID_ARGUMENT` for one that ends the stream. */
  take(request: Uint8Array): Complaint | undefined;
  /** What to send now, which then counts as sent; undefined when nothing is new. Throws for names that cannot be served. */
  answer(update: WorkloadUpdate): Uint8Array | undefined;
  /** Whether a request still waits for its answer. */
  readonly unanswered: boolean;
}
