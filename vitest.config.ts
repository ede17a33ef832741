import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    // One worker more than cores: many of the tests wait for programs more than they compute.
    maxWorkers: availableParallelism() + 1,
    // The end-to-end tests start programs, on machines that may be busy.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
