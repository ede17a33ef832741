/** An authority of the server, of whichever kind, and those that it has at one time. */
import type { JournalEntry } from "./journal.ts";
import type { AuthorityLife, SlotId } from "./slots.ts";

/** A usable authority. Times in milliseconds. */
export interface Authority extends AuthorityLife {
  readonly slot: SlotId;
  readonly authorityId: string;
}

/** What decisions look at. */
export interface AuthoritySlots<A extends Authority, E extends JournalEntry> {
  readonly active: A | undefined;
  readonly prepared: A | undefined;
  /** Of the journal, old ones among them. */
  readonly entries: readonly E[];
}
