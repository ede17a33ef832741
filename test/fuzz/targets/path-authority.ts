/** What makes authorities of paths acceptable, on its way into the HTTP/2 session. */
import { mutateBytes } from "../../../scripts/fuzz/mutate-bytes.ts";
import { type FuzzTarget, holds } from "../../../scripts/fuzz/target.ts";
import { mayNamePaths, PathAuthorities } from "../../../src/lib/rpc/path-authority.ts";
import { frame } from "../../lib/rpc/frames.ts";
import { connection, fields, literal } from "../../lib/rpc/path-authority-frames.ts";

const CALLS = [0x40, 0x00, 0x10].map((kind) => frame(1, 4, 1, fields(literal(kind, 1, "/tmp/api.sock"))));
const SLASH = 0x2f;
const DASH = 0x2d;
/** A frame that is not whole may be held: its header and as much as it may have. */
const MOST_HELD = 9 + 16_384;

function through(input: Uint8Array, size: number): Buffer {
  const authorities = new PathAuthorities();
  const out: Buffer[] = [];
  for (let at = 0; at < input.length; at += size) out.push(authorities.push(Buffer.from(input.slice(at, at + size))));
  return Buffer.concat(out);
}

/** Taken is what was changed. */
export const pathAuthority: FuzzTarget = {
  name: "path-authority",
  about: "HTTP/2 frames and header blocks of a caller: PathAuthorities",
  covers: ["/src/lib/rpc/path-authority.ts"],
  maxBytes: 2_000,
  seeds: () => [...CALLS.map((call) => connection(call)), connection(...CALLS, frame(0, 1, 1, Buffer.from("a")))],
  mutate: mutateBytes,
  favoursSeeds: true,
  run: (input) => {
    mayNamePaths(input);
    const out = through(input, input.length);
    holds(out.length <= input.length && input.length - out.length <= MOST_HELD, "what is held is bounded");
    let changed = false;
    for (const [at, byte] of out.entries()) {
      if (byte === input[at]) continue;
      changed = true;
      holds(input[at] === SLASH && byte === DASH, "only slashes change, into dashes");
    }
    holds(through(out, out.length).equals(out), "what was changed once is changed no more");
    holds(through(input, 1 + (input.length % 13)).equals(out), "in pieces it is the same");
    return changed ? "accepted" : "refused";
  },
};
