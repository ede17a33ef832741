/** The CA journal in use: all authorities write into one record, so one of them at a time. */
import type { DataStore } from "../datastore/datastore.ts";
import { decodeJournal, EMPTY_JOURNAL, encodeJournal, type Journal, trimJournal } from "./journal.ts";

/** What the book needs. */
export type JournalBookStore = Pick<DataStore, "name" | "caJournal" | "transaction">;

export class JournalBook {
  readonly #store: JournalBookStore;
  #journal: Journal = EMPTY_JOURNAL;
  #busy: Promise<unknown> = Promise.resolve();

  constructor(store: JournalBookStore) {
    this.#store = store;
  }

  /** What is stored. */
  get journal(): Journal {
    return this.#journal;
  }

  /** Where it is stored, for messages to the operator. */
  get place(): string {
    return this.#store.name;
  }

  /** Reads what the last run stored. Throws `DATA_LOSS` when that is damaged, `UNAVAILABLE` when it cannot be read. */
  async load(): Promise<void> {
    const data = await this.#store.caJournal.load();
    this.#journal = data === undefined ? EMPTY_JOURNAL : decodeJournal(data, this.#store.name);
  }

  /** Takes a corrected journal for what is stored; the next `write` makes it so. */
  assume(journal: Journal): void {
    this.#journal = journal;
  }

  /** Stores a journal together with `also`, or neither. Only within `exclusive`. Throws as the store does. */
  async write(journal: Journal, also: (tx: DataStore) => Promise<void> = async () => {}): Promise<void> {
    await this.#store.transaction(async (tx) => {
      await also(tx);
      await tx.caJournal.save(encodeJournal(journal));
    });
    this.#journal = trimJournal(journal);
  }

  /** Runs one piece of work after the other, whoever asks. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#busy.then(work);
    this.#busy = result.catch(() => {});
    return result;
  }
}
