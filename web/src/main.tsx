import { lazy, StrictMode, Suspense, useEffect } from "react";
import { createRoot } from "react-dom/client";
import { Offline, TopBar } from "./components/chrome";
import { Home } from "./components/home";
import { KeyForm } from "./components/key-dialog";
import { Messages } from "./components/ui";
import { type Route, useRoute } from "./lib/route";
import { keyWanted } from "./lib/server";
import { useStore } from "./lib/store";
import "./styles/fonts.css";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/home.css";
import "./styles/job.css";
import "./styles/monitor.css";

// Their code is loaded when they are opened.
const JobView = lazy(() => import("./components/job-view").then((module) => ({ default: module.JobView })));
const Monitor = lazy(() => import("./components/monitor").then((module) => ({ default: module.Monitor })));

function App() {
  const route = useRoute();
  const key = useStore(keyWanted);
  useEffect(() => {
    if (route.view !== "home") window.scrollTo(0, 0);
  }, [route.view, route.view === "job" ? route.id : ""]);
  return (
    <>
      <TopBar />
      <Offline />
      <main id="content" tabIndex={-1}>
        {key === "no" ? <Suspense fallback={<div aria-busy="true" />}>{viewOf(route)}</Suspense> : <KeyForm />}
      </main>
      <Messages />
    </>
  );
}

function viewOf(route: Route) {
  switch (route.view) {
    case "job":
      return <JobView key={route.id} id={route.id} at={route.at} />;
    case "monitor":
      return <Monitor />;
    default:
      return <Home />;
  }
}

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
