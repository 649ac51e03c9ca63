// Sends the answer for a program that a person allowed something. Without this file the person presses the button.
document.getElementById("answer").submit();
