/** Vitest reporter: names what was skipped and why, and ends with `N passed, N failed` alone on a line. */
import type { Reporter, TestModule } from "vitest/node";

export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const counts = { passed: 0, failed: unhandledErrors.length };
    const skipped: string[] = [];
    for (const module of modules) {
      let tests = 0;
      for (const test of module.children.allTests()) {
        tests++;
        const result = test.result();
        if (result.state === "passed") counts.passed++;
        else if (result.state === "failed") counts.failed++;
        else skipped.push(`  ${test.fullName}: ${(result.state === "skipped" && result.note) || "see its title"}`);
      }
      if (module.state() === "failed" && (tests === 0 || module.errors().length > 0)) counts.failed++;
    }
    if (skipped.length > 0) console.log(`\nSkipped:\n${skipped.join("\n")}`);
    console.log(`\n${counts.passed} passed, ${counts.failed} failed`);
  }
}
