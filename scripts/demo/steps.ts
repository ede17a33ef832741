/** How the demo talks: numbered steps, what each does and proves, a progress line while it waits. */

const color = process.stdout.isTTY && process.env.NO_COLOR === undefined;
const paint = (code: number, text: string): string => (color ? `\u001b[${code}m${text}\u001b[0m` : text);

/** A step did not show what it must show. */
export class StepFailed extends Error {
  override readonly name = "StepFailed";
}

/** Throws `StepFailed` unless `condition` holds. */
export function verify(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new StepFailed(otherwise);
}

/** A step that cannot be shown on this machine, and why. */
export class LeftOut {
  readonly why: string;

  constructor(why: string) {
    this.why = why;
  }
}

/** For a step that this machine cannot show. */
export function leftOut(why: string): LeftOut {
  return new LeftOut(why);
}

let number = 0;
let omitted = 0;

/** How it went, for the end. */
export function summary(): string {
  if (omitted === 0) return "Every step was verified.";
  return `${number - omitted} steps were verified, ${omitted} was left out.`;
}

/** Runs a step; its result says in one line what was seen. */
export async function step(
  title: string,
  work: (say: (line: string) => void) => Promise<string | LeftOut>,
): Promise<void> {
  number++;
  console.log(`\n${paint(1, `${number}. ${title}`)}`);
  const started = Date.now();
  const ticker = color
    ? setInterval(() => process.stdout.write(`\r   … ${Math.round((Date.now() - started) / 1000)} s `), 1000)
    : undefined;
  const clear = (): void => {
    if (color) process.stdout.write("\r\u001b[K");
  };
  try {
    const seen = await work((line) => {
      clear();
      console.log(`   ${line}`);
    });
    clear();
    if (seen instanceof LeftOut) {
      omitted++;
      console.log(`   – left out: ${seen.why}`);
      return;
    }
    console.log(`   ${paint(32, "✓")} ${seen}`);
  } catch (error) {
    clear();
    console.log(`   ${paint(31, "✗")} ${error instanceof Error ? error.message : String(error)}`);
    throw error;
  } finally {
    clearInterval(ticker);
  }
}
