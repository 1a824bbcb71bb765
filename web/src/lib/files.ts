/** Files that the browser keeps until they are uploaded: in IndexedDB, where it can. */

const STORE = "files";
// A copy of a file takes space on the device, and time.
const LARGEST_BYTES = 200_000_000;

/** One after the other: a file that is put and deleted at once must not stay. */
let queue: Promise<unknown> = Promise.resolve();

function inStore<T>(mode: IDBTransactionMode, use: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const done = queue.then(async () => {
    const database = await opened();
    try {
      return await resultOf(use(database.transaction(STORE, mode).objectStore(STORE)));
    } finally {
      database.close();
    }
  });
  queue = done.catch(() => undefined);
  return done;
}

function opened(): Promise<IDBDatabase> {
  const request = window.indexedDB.open("scrivano", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  return resultOf(request);
}

function resultOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export function keepFile(name: string, file: File): void {
  if (file.size <= LARGEST_BYTES) inStore("readwrite", (store) => store.put(file, name)).catch(() => undefined);
}

/** undefined: the browser does not have it. */
export async function keptFile(name: string): Promise<File | undefined> {
  try {
    const file: unknown = await inStore("readonly", (store) => store.get(name));
    return file instanceof File ? file : undefined;
  } catch {
    return undefined;
  }
}

export function dropFile(name: string): void {
  inStore("readwrite", (store) => store.delete(name)).catch(() => undefined);
}

/** Drop the files that nobody will ask for. */
export async function dropFilesExcept(isKnown: (name: string) => boolean): Promise<void> {
  try {
    const names = await inStore("readonly", (store) => store.getAllKeys());
    for (const name of names) if (typeof name === "string" && !isKnown(name)) dropFile(name);
  } catch {
    // There are none.
  }
}
