"""What happens without Azure's packages."""

import subprocess
import sys


def test_a_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['azure.ai.agents'] = None\nimport clew.azure"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ImportError: clew.azure stands on Azure's own packages: pip install " in done.stderr
    assert " azure-ai-agents==1.1.0 azure-ai-projects==1.0.0 " in done.stderr
