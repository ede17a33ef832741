/** Which entry expires next: a binary heap. Entries that changed meanwhile stay in it, and are judged when they come up. */

interface Item {
  readonly expiresAt: number;
  readonly entryId: string;
}

/** Earliest first. */
export class ExpiryQueue {
  readonly #heap: Item[] = [];

  /** The earliest expiry in it, Unix seconds. */
  get next(): number | undefined {
    return this.#heap[0]?.expiresAt;
  }

  /** Adds an entry that expires at `expiresAt` (Unix seconds). */
  push(entryId: string, expiresAt: number): void {
    const heap = this.#heap;
    let child = heap.length;
    heap.push({ expiresAt, entryId });
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.#swapIfLater(parent, child)) break;
      child = parent;
    }
  }

  /** Takes out the IDs whose expiry is at most `now` (Unix seconds). */
  due(now: number): readonly string[] {
    const ids: string[] = [];
    while (this.#heap[0] !== undefined && this.#heap[0].expiresAt <= now) ids.push(this.#pop());
    return ids;
  }

  #pop(): string {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined) throw new Error("an empty queue has nothing to take out");
    if (heap.length > 0) {
      heap[0] = last;
      this.#sink();
    }
    return first.entryId;
  }

  #sink(): void {
    for (let parent = 0; ; ) {
      const left = 2 * parent + 1;
      const right = left + 1;
      const child = this.#at(right) < this.#at(left) ? right : left;
      if (!this.#swapIfLater(parent, child)) return;
      parent = child;
    }
  }

  #at(index: number): number {
    return this.#heap[index]?.expiresAt ?? Number.POSITIVE_INFINITY;
  }

  #swapIfLater(parent: number, child: number): boolean {
    const heap = this.#heap;
    const [a, b] = [heap[parent], heap[child]];
    if (a === undefined || b === undefined || a.expiresAt <= b.expiresAt) return false;
    heap[parent] = b;
    heap[child] = a;
    return true;
  }
}
