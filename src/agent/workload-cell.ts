/** The cell that a caller of the Workload API watches: what callers with one set of selectors may have. */
import { type Watchable, WatchableValue } from "../lib/watchable.ts";
import type { WorkloadUpdate } from "../workload-api/ports.ts";
import { sameUpdate } from "./workload-update.ts";

/** What a cell asks of the cache that owns it. */
export interface CellOwner {
  /** Makes sure that the cell follows the cache. */
  attach(cell: WorkloadCell): void;
  /** The number of the cell's readers went from `before` to `cell.readers`. */
  readersChanged(cell: WorkloadCell, before: number): void;
}

/**
 * Counts its readers, so that the cache can let go of cells that nobody reads. A cell that was let go attaches itself
 * again when it is read: whoever holds one never sees stale values.
 */
export class WorkloadCell implements Watchable<WorkloadUpdate> {
  /** Canonical form of the selectors; equal for equal sets. */
  readonly key: string;
  readonly texts: ReadonlySet<string>;
  readonly #owner: CellOwner;
  readonly #current: WatchableValue<WorkloadUpdate>;
  #readers = 0;

  constructor(key: string, texts: ReadonlySet<string>, owner: CellOwner, initial: WorkloadUpdate) {
    this.key = key;
    this.texts = texts;
    this.#owner = owner;
    this.#current = new WatchableValue(initial);
  }

  /** How many watch or subscribe now. */
  get readers(): number {
    return this.#readers;
  }

  get value(): WorkloadUpdate {
    this.#owner.attach(this);
    return this.#current.value;
  }

  /** For the owner: the value as it is, without attaching. */
  get latest(): WorkloadUpdate {
    return this.#current.value;
  }

  /** For the owner: a new value. Readers are not bothered with one that says what the present one says. */
  replace(update: WorkloadUpdate): void {
    if (this.#readers === 0 || !sameUpdate(update, this.#current.value)) this.#current.set(update);
  }

  /** For the owner: ends every reader. */
  close(): void {
    this.#current.close();
  }

  subscribe(listener: (value: WorkloadUpdate) => void): () => void {
    this.#enter();
    const unsubscribe = this.#current.subscribe(listener);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      unsubscribe();
      this.#leave();
    };
  }

  async *watch(signal: AbortSignal): AsyncGenerator<WorkloadUpdate, void, void> {
    this.#enter();
    try {
      yield* this.#current.watch(signal);
    } finally {
      this.#leave();
    }
  }

  #enter(): void {
    this.#owner.attach(this);
    this.#readers++;
    this.#owner.readersChanged(this, this.#readers - 1);
  }

  #leave(): void {
    this.#readers--;
    this.#owner.readersChanged(this, this.#readers + 1);
  }
}
