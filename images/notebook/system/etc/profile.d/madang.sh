# A login shell, such as a terminal in Lab, begins with Debian's PATH: the image's own goes before.
PATH=/opt/madang/venv/bin:$PATH:/home/student/.local/bin
