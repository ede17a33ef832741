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

let number = 0;

/** Runs a step; its result says in one line what was seen. */
export async function step(title: string, work: (say: (line: string) => void) => Promise<string>): Promise<void> {
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
    console.log(`   ${paint(32, "✓")} ${seen}`);
  } catch (error) {
    clear();
    console.log(`   ${paint(31, "✗")} ${error instanceof Error ? error.message : String(error)}`);
    throw error;
  } finally {
    clearInterval(ticker);
  }
}
