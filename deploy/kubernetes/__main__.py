"""Write `deploy/k8s`: `python -m deploy.kubernetes`."""

from deploy.kubernetes.manifests import FOLDER, files

if __name__ == "__main__":
    for name, text in files().items():
        (FOLDER / name).write_text(text)
