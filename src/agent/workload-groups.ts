/** Who watches what: cells per set of selectors, and groups of cells that match the same entries and share one update. */
import type { Watchable } from "../lib/watchable.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import { normalizeSelectors, type Selector, selectorText } from "../spiffe/selector.ts";
import type { WorkloadUpdate } from "../workload-api/ports.ts";
import { SupersetIndex } from "./selector-index.ts";
import { type CellOwner, WorkloadCell } from "./workload-cell.ts";
import { buildUpdate, type EntryState, type IssuedSvid, sameUpdate, type UpdateContext } from "./workload-update.ts";

/** Callers that match the same entries. */
export interface WorkloadGroup {
  readonly key: string;
  /** Sorted by entry ID. */
  readonly records: readonly EntryRecord[];
  readonly cells: Set<WorkloadCell>;
  update: WorkloadUpdate;
  readers: number;
}

/** An entry, its SVID, and the groups that match it. */
export class EntryRecord implements EntryState {
  entry: AuthorizedEntry;
  issued: IssuedSvid | undefined;
  failed = false;
  readonly groups = new Set<WorkloadGroup>();

  constructor(entry: AuthorizedEntry) {
    this.entry = entry;
  }

  /** Whether a caller that matches it is connected. */
  get wanted(): boolean {
    for (const group of this.groups) if (group.readers > 0) return true;
    return false;
  }
}

/** What a change of entries and SVIDs touches. */
export class Change {
  /** Cells that may match other entries now. */
  readonly moving = new Set<WorkloadCell>();
  /** Groups whose update may say something else now. */
  readonly dirty = new Set<WorkloadGroup>();

  /** The entry is the same one, with other content. */
  touch(record: EntryRecord): void {
    for (const group of record.groups) this.dirty.add(group);
  }

  /** The entry is gone. */
  remove(record: EntryRecord): void {
    for (const group of record.groups) for (const cell of group.cells) this.moving.add(cell);
  }
}

/** What the groups ask of the cache. */
export interface GroupSource {
  /** The entries that callers with these selectors match. */
  readonly matching: (texts: ReadonlySet<string>) => EntryRecord[];
  readonly context: () => UpdateContext;
  /** A caller came for an entry without an SVID. */
  readonly wanted: () => void;
}

/** Cells without readers that are kept for the next caller with the same selectors. */
const MAX_IDLE_CELLS = 1_024;

/** Memory is bounded by the readers and `MAX_IDLE_CELLS`. */
export class WorkloadGroups implements CellOwner {
  readonly #source: GroupSource;
  readonly #index = new SupersetIndex<WorkloadCell>();
  readonly #cells = new Map<string, WorkloadCell>();
  /** Of selectors that cannot change. */
  readonly #keys = new WeakMap<readonly Selector[], string>();
  /** In the order in which they lost their last reader. */
  readonly #idle = new Set<WorkloadCell>();
  readonly #groupOf = new Map<WorkloadCell, WorkloadGroup>();
  readonly #groups = new Map<string, WorkloadGroup>();

  constructor(source: GroupSource) {
    this.#source = source;
  }

  /** How many sets of selectors are followed. */
  get size(): number {
    return this.#groupOf.size;
  }

  all(): Iterable<WorkloadGroup> {
    return this.#groups.values();
  }

  /** The cell of callers with these selectors; equal sets share it. */
  subscribe(selectors: readonly Selector[]): Watchable<WorkloadUpdate> {
    const before = this.#keys.get(selectors);
    const again = before === undefined ? undefined : this.#cells.get(before);
    if (again !== undefined) return again;
    const texts = normalizeSelectors(selectors).map(selectorText);
    const key = JSON.stringify(texts);
    if (Object.isFrozen(selectors)) this.#keys.set(selectors, key);
    const known = this.#cells.get(key);
    if (known !== undefined) return known;
    const cell = new WorkloadCell(key, new Set(texts), this, buildUpdate([], this.#source.context()));
    this.attach(cell);
    return cell;
  }

  /** The cells that a new entry with these selectors concerns. */
  containing(texts: readonly string[]): readonly WorkloadCell[] {
    return this.#index.containing(texts);
  }

  /** First everything is in its place, then readers are told, once each: nobody sees a half of the change. */
  apply(change: Change): void {
    const context = this.#source.context();
    const changed = new Set<WorkloadCell>();
    for (const cell of change.moving) {
      if (this.#groupOf.has(cell) && this.#regroup(cell, context)) changed.add(cell);
    }
    for (const group of change.dirty) {
      if (group.cells.size === 0) continue;
      const update = buildUpdate(group.records, context);
      if (sameUpdate(update, group.update)) continue;
      group.update = update;
      for (const cell of group.cells) changed.add(cell);
    }
    for (const cell of changed) {
      const group = this.#groupOf.get(cell);
      if (group !== undefined) cell.replace(group.update);
    }
  }

  /** Ends every reader. */
  close(): void {
    for (const cell of this.#groupOf.keys()) cell.close();
  }

  attach(cell: WorkloadCell): void {
    if (this.#groupOf.has(cell)) return;
    if (!this.#cells.has(cell.key)) this.#cells.set(cell.key, cell);
    this.#index.add(cell);
    this.#regroup(cell, this.#source.context());
    const group = this.#groupOf.get(cell);
    if (group !== undefined) cell.replace(group.update);
    if (cell.readers === 0) this.#park(cell);
  }

  readersChanged(cell: WorkloadCell, before: number): void {
    const group = this.#groupOf.get(cell);
    if (group !== undefined) group.readers += cell.readers - before;
    if (cell.readers === 0) this.#park(cell);
    else this.#idle.delete(cell);
    if (before === 0 && group?.records.some(({ issued }) => issued === undefined)) this.#source.wanted();
  }

  /** Puts a cell among those that nobody reads, and lets go of the one that waited longest. */
  #park(cell: WorkloadCell): void {
    this.#idle.delete(cell);
    this.#idle.add(cell);
    if (this.#idle.size <= MAX_IDLE_CELLS) return;
    const [oldest] = this.#idle;
    if (oldest === undefined) return;
    this.#idle.delete(oldest);
    if (this.#cells.get(oldest.key) === oldest) this.#cells.delete(oldest.key);
    this.#index.remove(oldest);
    this.#leaveGroup(oldest);
  }

  /** Finds what the cell matches now and puts it there; says whether that is another group than before. */
  #regroup(cell: WorkloadCell, context: UpdateContext): boolean {
    const records = this.#source.matching(cell.texts).sort(byEntryId);
    const key = records.map(({ entry }) => entry.entryId).join("\n");
    const present = this.#groupOf.get(cell);
    let group = this.#groups.get(key);
    // A record is replaced when its entry's selectors change: equal IDs alone do not make the same group.
    if (group === undefined || group.records.some((record, index) => record !== records[index])) {
      group = { key, records, cells: new Set(), update: this.#firstUpdate(cell, records, context), readers: 0 };
      this.#groups.set(key, group);
      for (const record of records) record.groups.add(group);
    }
    if (group === present) return false;
    this.#leaveGroup(cell);
    group.cells.add(cell);
    group.readers += cell.readers;
    this.#groupOf.set(cell, group);
    return true;
  }

  /** A new group that says what the cell said before goes on with the same object, and its readers are left in peace. */
  #firstUpdate(cell: WorkloadCell, records: readonly EntryRecord[], context: UpdateContext): WorkloadUpdate {
    const update = buildUpdate(records, context);
    return sameUpdate(update, cell.latest) ? cell.latest : update;
  }

  #leaveGroup(cell: WorkloadCell): void {
    const group = this.#groupOf.get(cell);
    if (group === undefined) return;
    this.#groupOf.delete(cell);
    group.cells.delete(cell);
    group.readers -= cell.readers;
    if (group.cells.size > 0) return;
    if (this.#groups.get(group.key) === group) this.#groups.delete(group.key);
    for (const record of group.records) record.groups.delete(group);
  }
}

function byEntryId(a: EntryRecord, b: EntryRecord): number {
  return a.entry.entryId < b.entry.entryId ? -1 : a.entry.entryId > b.entry.entryId ? 1 : 0;
}
