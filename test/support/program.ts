/** Programs run as their reader would run them: in a process of their own, on this Node. */
import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"

/** The folder of the checkout. */
export const root = join(import.meta.dirname, "..", "..")

/** Programs of readers import the built package. */
export const requireBuild = (): void => {
  if (!existsSync(join(root, "dist", "index.js"))) throw new Error("dist is missing: run `npm run build` first")
}

/** Runs a program from the checkout's folder; its standard output. Rejects with what it said if it fails. */
export const runProgram = (file: string, ...parameters: ReadonlyArray<string>): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile(process.execPath, [file, ...parameters], { cwd: root, encoding: "utf8" }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`${file} ended with exit code ${String(error.code)}:\n${stdout}${stderr}`))
    })
  })
