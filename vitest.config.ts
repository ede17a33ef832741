import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    // One worker for each core: many of the tests wait for programs more than they compute.
    maxWorkers: "100%",
    // The end-to-end tests start programs, on machines that may be busy.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
