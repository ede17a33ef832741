/** Readers that are wrong on purpose: a fuzzer that does not hear them hears nothing. */
import { mutateBytes } from "../../../scripts/fuzz/mutate-bytes.ts";
import { type FuzzTarget, holds } from "../../../scripts/fuzz/target.ts";
import { behindFourDoors, greedy, hangs, ignoresTheEnd, pollutes, readsTooFar, slow } from "./readers.ts";

/** One for each kind of finding. */
export const TARGETS: readonly FuzzTarget[] = [
  target("reads-too-far", readsTooFar),
  target("behind-four-doors", behindFourDoors),
  target("ignores-the-end", (input) => {
    const read = ignoresTheEnd(input);
    holds(read.length + 2 === input.length, "it is read to its last byte");
  }),
  target("pollutes", pollutes),
  target("slow", slow),
  target("hangs", hangs),
  target("greedy", greedy),
];

function target(name: string, read: (input: Uint8Array) => unknown): FuzzTarget {
  return {
    name,
    about: "wrong on purpose",
    covers: [],
    maxBytes: 64,
    seeds: () => [Uint8Array.of(0, 4, 1, 2, 3, 4)],
    mutate: mutateBytes,
    run: (input) => {
      read(input);
      return "accepted";
    },
  };
}
