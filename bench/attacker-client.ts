/** The bench's attacker: callers that do not behave, in a process of its own. Its operations are called over IPC. */
import { setPriority } from "node:os";
import { type Attacked, Attacker } from "./lib/attacker.ts";
import { ATTACKS, type AttackKind } from "./lib/attacks.ts";
import { serveOperations } from "./lib/worker.ts";

/** Gives way to the caller that is measured, and still gets its part of a machine that has other work. */
const LOWER = 5;
let attacker: Attacker | undefined;

const operations = {
  /** Becomes another user, when this one may; connections that are made from then on are that user's. */
  async become(o: { uid: number }): Promise<void> {
    if (process.geteuid?.() !== 0) return;
    process.setgroups?.([]);
    process.setgid?.(o.uid);
    process.setuid?.(o.uid);
  },

  /** Leaves the processor to whoever else wants it. */
  async yield(): Promise<void> {
    setPriority(LOWER);
  },

  /** The pid of this process. */
  async pid(): Promise<number> {
    return process.pid;
  },

  /** Begins an attack. */
  async attack(o: { socket: string; kind: AttackKind; lanes?: number }): Promise<void> {
    attacker = new Attacker(ATTACKS[o.kind], o.socket, o.lanes);
  },

  /** What it came to so far. */
  async counts(): Promise<Attacked> {
    return attacker?.counts ?? { calls: 0, connections: 0 };
  },

  /** Ends it. */
  async cease(): Promise<Attacked> {
    await attacker?.stop();
    return operations.counts();
  },
};

/** The operations, for the bench's side. */
export type AttackerOperations = typeof operations;

serveOperations(operations);
