/** What a running process costs, from `/proc`: processor time and memory, its children included. */
import { readdirSync, readFileSync } from "node:fs";

/** Linux reports processor time to programs in hundredths of a second, whatever its own clock. */
const MICROS_PER_TICK = 10_000;
const KIB = 1024;

/** The fields of `/proc/<pid>/stat` after the name, which may hold anything, spaces and brackets included. */
export function statFields(stat: string): readonly string[] {
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** Processor time in µs: user and system, of the process and of its children that it has waited for. */
export function cpuOfStat(stat: string): number {
  const fields = statFields(stat);
  // utime, stime, cutime, cstime are fields 14 to 17, counted from 1; the state is field 3.
  const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0);
  return ticks * MICROS_PER_TICK;
}

/** Processor time in µs that the process and its living and dead children have used so far. */
export function cpuMicros(pid: number): number {
  return tree(pid).reduce((sum, each) => sum + cpuOfStat(read(`/proc/${each}/stat`)), 0);
}

/** Resident memory in bytes of the process and its living children. */
export function residentBytes(pid: number): number {
  return tree(pid).reduce((sum, each) => sum + residentOfStatus(read(`/proc/${each}/status`)), 0);
}

/** `VmRSS` of `/proc/<pid>/status`, in bytes. */
export function residentOfStatus(status: string): number {
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0) * KIB;
}

/** The hard limit of open files of this process and those it starts; `Infinity` without one. */
export function openFileLimit(): number {
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(read("/proc/self/limits"))?.[1] ?? "0";
  return hard === "unlimited" ? Number.POSITIVE_INFINITY : Number(hard);
}

/** Living children of a process. */
export function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    read(`/proc/${pid}/task/${task}/children`).split(" ").filter(Boolean).map(Number),
  );
}

function tree(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(tree)];
}

function read(path: string): string {
  return readFileSync(path, "utf8");
}
