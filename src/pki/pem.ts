/** PEM text (RFC 7468). */
import { AgentError } from "../lib/errors.ts";

/** Wraps DER as PEM, with a final newline. */
export function pemEncode(_label: string, _der: Uint8Array): string {
  throw new AgentError("INTERNAL", "not built yet");
}

/** All blocks of that label, in order; none is no error. Throws `MALFORMED` for damaged text. */
export function pemDecode(_text: string, _label: string): Uint8Array[] {
  throw new AgentError("INTERNAL", "not built yet");
}
