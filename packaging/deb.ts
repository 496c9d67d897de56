/** Makes build/litestream_VERSION_ARCH.deb from the single executable. Needs dpkg-deb. */
import { execFileSync } from "node:child_process";
import { chmod, copyFile, mkdir, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { packageVersion } from "./bundle.ts";
import { makeExecutable } from "./sea.ts";

/** Debian's names of the processors that Node runs on. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

const packaging = import.meta.dirname;
const build = resolve(packaging, "../build");

async function makePackage(): Promise<string> {
  const architecture = ARCHITECTURES[process.arch];
  if (architecture === undefined || process.platform !== "linux")
    throw new Error(`Cannot make a Debian package on ${process.platform}/${process.arch}`);
  const root = join(build, "deb");
  await rm(root, { recursive: true, force: true });
  const executable = await makeExecutable();
  await install(executable, join(root, "usr/bin/litestream"), 0o755);
  await install(join(packaging, "litestream.yml"), join(root, "etc/litestream.yml"), 0o644);
  await install(
    join(packaging, "systemd/litestream.service"),
    join(root, "lib/systemd/system/litestream.service"),
    0o644,
  );
  await install(
    resolve(packaging, "../LICENSE"),
    join(root, "usr/share/doc/litestream/copyright"),
    0o644,
  );
  await mkdir(join(root, "DEBIAN"), { recursive: true });
  const { size } = await stat(executable);
  await writeFile(join(root, "DEBIAN/control"), control(architecture, size));
  await writeFile(join(root, "DEBIAN/conffiles"), "/etc/litestream.yml\n");
  const output = join(build, `litestream_${packageVersion()}_${architecture}.deb`);
  // xz is what every dpkg reads; level 1 loses little and takes seconds.
  execFileSync("dpkg-deb", ["--root-owner-group", "-Zxz", "-z1", "--build", root, output], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  await rm(root, { recursive: true });
  return output;
}

async function install(from: string, to: string, mode: number): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await copyFile(from, to);
  await chmod(to, mode);
}

/** The libraries are those that Node's official builds for Linux link to. */
function control(architecture: string, sizeBytes: number): string {
  return `Package: litestream
Version: ${packageVersion()}
Architecture: ${architecture}
Maintainer: The litestream-ts authors <litestream-ts@localhost>
Installed-Size: ${Math.ceil(sizeBytes / 1024)}
Depends: libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 8)
Section: database
Priority: optional
Description: Continuous replication of SQLite databases
 Copies every committed transaction of SQLite databases to object storage
 and restores them, as they were last or at any earlier moment.
`;
}

console.log(await makePackage());
