import { useEffect } from "react";
import { useT } from "../i18n";
import { refresh } from "../lib/jobs";
import { DropZone } from "./drop-zone";
import { JobListView } from "./job-list";
import { UploadList } from "./upload-list";

export function Home() {
  const t = useT();
  useEffect(() => {
    document.title = "Scrivano";
    refresh();
  }, []);
  return (
    <>
      <h1 className="unseen">{t("transcripts")}</h1>
      <DropZone />
      <UploadList />
      <JobListView />
    </>
  );
}
