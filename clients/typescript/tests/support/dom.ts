/**
 * A document for React, beside Node's own `fetch`, `Blob` and `AbortController`: a whole browser environment would
 * replace them by imitations, and the tests call a real server.
 */

import { Window } from "happy-dom";

const window = new Window({ url: "http://127.0.0.1/" });
const globals = ["HTMLElement", "HTMLIFrameElement", "Element", "Node", "MutationObserver", "Event", "MouseEvent"];
for (const name of ["document", "navigator", ...globals]) {
  Object.defineProperty(globalThis, name, { value: window[name as keyof Window], configurable: true, writable: true });
}
Object.assign(globalThis, { window, IS_REACT_ACT_ENVIRONMENT: true });
