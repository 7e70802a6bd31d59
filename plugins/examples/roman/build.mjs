// node build.mjs <folder of WIT files> <component to write>
//
// The engine in the component speaks wasi:http 0.2.10, which any later 0.2 serves. So
// the WIT files, which are of a later one, are read with that version in them.

import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { componentize } from "@bytecodealliance/componentize-js";

const ENGINE = "0.2.10";

const [wit, component] = process.argv.slice(2);
const witPath = await mkdtemp(join(tmpdir(), "wit-"));
try {
  await cp(wit, witPath, { recursive: true });
  for (const file of await readdir(witPath, { recursive: true, withFileTypes: true })) {
    if (file.isFile()) {
      const path = join(file.parentPath ?? file.path, file.name);
      const text = await readFile(path, "utf8");
      await writeFile(path, text.replace(/\b0\.2\.\d+(?![\d-])/g, ENGINE));
    }
  }
  const source = new URL("app.js", import.meta.url);
  const built = await componentize(await readFile(source, "utf8"), {
    sourceName: "app.js",
    witPath,
    worldName: "http-basic",
  });
  await writeFile(component, built.component);
} finally {
  await rm(witPath, { recursive: true });
}
